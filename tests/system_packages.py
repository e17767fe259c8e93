"""Programs that only Debian has: in CI they must be there, elsewhere a test that needs one is skipped."""

import os
import shutil

import pytest


def require_program(*names: str, package: str) -> str:
    """The path of the first of `names` that is installed; otherwise the test is skipped, or fails in CI."""
    for name in names:
        if found := shutil.which(name):
            return found
    missing = f"there is no {names[0]}: as root, apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
