"""What can go wrong with a call, each with the HTTP status it is answered with.

A message says what was wrong and what to do; it is shown to the caller as it is.
"""

from typing import ClassVar


class ServingError(Exception):
    """A call that cannot be answered. `retry_after` is in seconds; None means that a retry will not help."""

    http_status: ClassVar[int] = 500
    retry_after: ClassVar[int | None] = None


class BadInputError(ServingError):
    """The request itself is wrong. Nothing is loaded for it."""

    http_status = 400


class UnsupportedTypeError(BadInputError):
    """The body is of a type that nothing here reads."""

    http_status = 415


class NotAcceptableError(BadInputError):
    """The answer is asked for in types that nothing here writes."""

    http_status = 406


class UnknownTenantError(ServingError):
    """No store and no disk has this tenant."""

    http_status = 404


class UnauthenticatedError(ServingError):
    """The call carries no API key that is known."""

    http_status = 401


class ForbiddenError(ServingError):
    """The call's API key is for other tenants."""

    http_status = 403


class TooManyCallsError(ServingError):
    """The tenant's limit is used up."""

    http_status = 429
    retry_after = 1


class AlreadyLoadedError(ServingError):
    """The multi-model contract's answer to loading what is loaded."""

    http_status = 409


class CannotFitError(ServingError):
    """Too large for the budget, even with everything evictable gone."""

    http_status = 507


class LoadFailedError(ServingError):
    """The tenant's entry is there but Triton would not load it, or it is not what its manifest says."""

    http_status = 500


class QuarantinedError(LoadFailedError):
    """Triton died twice while it loaded this version of the tenant."""


class BusyError(ServingError):
    """No room or no turn before the deadline: the node is overloaded."""

    http_status = 503
    retry_after = 1


class OverloadedError(ServingError):
    """So many calls wait for cold starts that this one may not."""

    http_status = 503
    retry_after = 1


class NotNowError(BusyError):
    """A load that no call waits for would have to evict somebody."""


class StoreUnavailableError(ServingError):
    """The store does not answer and the disk does not hold the tenant."""

    http_status = 503
    retry_after = 5


class TritonUnavailableError(ServingError):
    """Triton does not answer."""

    http_status = 503
    retry_after = 1


class TritonGoneError(TritonUnavailableError):
    """Triton closed the connection, or its port is closed: it has died, or is about to."""
