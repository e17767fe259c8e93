"""The one spelling of a tenant's name, shared by the catalog, Triton's repository and every address."""

import re
from typing import NewType

TenantId = NewType("TenantId", str)

TENANT_PATTERN = r"[a-z0-9][a-z0-9._-]{0,127}"
TENANT_RULE = "use 1 to 128 of a-z 0-9 . _ - and start with a letter or digit"
_TENANT = re.compile(TENANT_PATTERN)


class BadTenantIdError(ValueError):
    """The text is not a tenant id. The message says what one looks like."""


def tenant_id(text: str) -> TenantId:
    """Check `text` and return it as a tenant id.

    Raises:
        BadTenantIdError: it does not match `TENANT_PATTERN` from end to end.
    """
    if _TENANT.fullmatch(text) is None:
        raise BadTenantIdError(f"{text[:140]!r} is not a tenant id: {TENANT_RULE}")
    return TenantId(text)
