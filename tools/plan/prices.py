"""The price list: what machines are and cost, as a TOML file that the user edits."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.plan.curve import Latency
from tools.plan.read import BadTrafficError, parse_size

EXAMPLE = Path(__file__).with_name("prices.toml")
HOURS_A_MONTH = 730


class BadPricesError(ValueError):
    """The price list cannot be used. The message names the entry."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine: price an hour, bytes of memory that models may have, calls a second it answers."""

    name: str
    per_hour: float
    usable_bytes: int
    calls_per_second: float = float("inf")


@dataclass(frozen=True, slots=True)
class Prices:
    """`shared` is what a node of Orchard runs on, `dedicated` what one tenant alone gets."""

    currency: str
    shared: Machine
    dedicated: Machine
    spare_nodes: int
    latency: Latency
    is_example: bool


def read_prices(path: Path | None) -> Prices:
    """The price list in `path`; None is the example that comes with Orchard.

    Raises:
        BadPricesError: it cannot be read, or an entry is missing or makes no sense.
    """
    path = path or EXAMPLE
    try:
        content = tomllib.loads(path.read_text())
        shared, dedicated, latency = content["shared"], content["dedicated"], content["latency"]
        return Prices(
            str(content["currency"]),
            Machine(
                shared["name"],
                _positive(shared, "per_hour"),
                int(parse_size(str(shared["memory"])) * _positive(shared, "usable")),
                _positive(shared, "calls_per_second"),
            ),
            Machine(dedicated["name"], _positive(dedicated, "per_hour"), parse_size(str(dedicated["memory"]))),
            int(shared["spare_nodes"]),
            Latency(*(_positive(latency, name) for name in ("warm_ms", "cold_ms", "cold_ms_per_mb"))),
            path == EXAMPLE,
        )
    except KeyError as error:
        raise BadPricesError(f"{path} has no entry {error}: {EXAMPLE} shows all there are") from None
    except (OSError, ValueError, TypeError, BadTrafficError) as error:
        raise BadPricesError(f"{path} cannot be used: {error}") from None


def _positive(table: dict[str, Any], name: str) -> float:
    value = float(table[name])
    if not value > 0:
        raise BadPricesError(f"{name} = {value} must be more than 0")
    return value
