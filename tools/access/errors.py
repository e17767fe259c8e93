"""What can be wrong with what a node is told about access."""


class AccessError(ValueError):
    """Limits, API keys or a certificate cannot be used. The message says what, where and why."""
