"""Why a model was not compiled."""


class RefusedError(ValueError):
    """The input cannot be served. The message says why, and what its owner can do about it."""


class ProofError(RefusedError):
    """The checkpoint answers differently from XGBoost. Nothing of it may be published."""
