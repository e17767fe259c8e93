"""The `config.pbtxt` of a repository entry. Its dims come from the model, its parameters from the Triton release."""

import re
from pathlib import Path

from jinja2 import StrictUndefined, Template

from tools.catalog.manifest import MAX_ROWS
from tools.catalog.tenant import TenantId
from tools.compile.described import Described

OLDEST_RELEASE, NEWEST_RELEASE = (24, 10), (26, 6)
DEFAULT_RELEASE = "24.10"
# From this release the FIL backend asks for is_classifier; before it, for output_class.
_IS_CLASSIFIER_SINCE = (25, 9)
# Read when this module is imported, which the server of the child processes does once for all of them.
_TEMPLATE: Template = Template(
    (Path(__file__).parent / "config.pbtxt.j2").read_text(encoding="utf-8"),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
)


class BadReleaseError(ValueError):
    """The text does not name a Triton release that entries can be made for."""


def parse_release(text: str) -> tuple[int, int]:
    """A Triton release such as "24.10" as (year, month).

    Raises:
        BadReleaseError: it is no release, or not between the oldest and the newest known.
    """
    found = re.fullmatch(r"([0-9]{2})\.(0[1-9]|1[0-2])", text)
    release = (int(found[1]), int(found[2])) if found else (0, 0)
    if not OLDEST_RELEASE <= release <= NEWEST_RELEASE:
        raise BadReleaseError(
            f"{text!r} is not a Triton release entries can be made for: name one from {_name(OLDEST_RELEASE)} to "
            f"{_name(NEWEST_RELEASE)}"
        )
    return release


def render_config(tenant: TenantId, described: Described, release: str) -> str:
    """The text of `config.pbtxt`.

    Raises:
        BadReleaseError: see `parse_release`.
    """
    return _TEMPLATE.render(
        tenant=tenant,
        features=described.features,
        outputs=described.outputs,
        max_batch_size=MAX_ROWS,
        classifier=described.serving.classifier,
        classifier_parameter="is_classifier" if parse_release(release) >= _IS_CLASSIFIER_SINCE else "output_class",
    )


def _name(release: tuple[int, int]) -> str:
    return f"{release[0]}.{release[1]:02}"
