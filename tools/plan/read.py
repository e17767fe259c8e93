"""Traffic as its owner has it: a CSV of calls, the access log of a node, or a few classes of tenants."""

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from tools.catalog.tenant import TENANT_PATTERN, BadTenantIdError, TenantId, tenant_id
from tools.compile.size import resident_bytes
from tools.plan.trace import TenantClass, Trace

_CLASS = re.compile(r"(\d+):(\d+(?:\.\d+)?)%(?::(\S+))?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
# `log_format node` of the front: time, status, method, address, …
_LOGGED = re.compile(rf"(\S+) (\d{{3}}) POST /v2/models/({TENANT_PATTERN})(?:/versions/\d+)?/infer ")


class BadTrafficError(ValueError):
    """The traffic or the sizes cannot be read. The message says where, and how they are written."""


def parse_size(text: str) -> int:
    """Bytes in `45MB`, `2 GiB` or `1000`.

    Raises:
        BadTrafficError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or match[2] not in _UNITS or float(match[1]) <= 0:
        raise BadTrafficError(f"{text!r} is not a size: write it as 45MB, 2GiB or a number of bytes")
    return int(float(match[1]) * _UNITS[match[2]])


def is_class(text: str) -> bool:
    """Whether `text` is written as a class of tenants is."""
    return _CLASS.fullmatch(text) is not None


def parse_class(text: str, size: int) -> TenantClass:
    """A class written `500:60%` or `500:60%:45MB`; `size` is the checkpoint bytes of one that names none.

    Raises:
        BadTrafficError: it cannot be read.
    """
    match = _CLASS.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise BadTrafficError(f"{text!r} is not a class of tenants: write tenants:share%, or tenants:share%:size")
    own = parse_size(match[3]) if match[3] else size
    return TenantClass(int(match[1]), float(match[2]) / 100, resident_bytes(own))


def read_calls(path: Path, size: int, sizes: Mapping[TenantId, int]) -> Trace:
    """The calls of a CSV or of a node's access log, whichever the file is.

    A CSV has the columns `time` (ISO 8601 or seconds) and `tenant`, and may have `bytes`, the size of the tenant's
    checkpoint. Of an access log, calls that were answered count. `sizes` holds resident bytes by tenant; the others
    take what the file says, or `size` checkpoint bytes.

    Raises:
        BadTrafficError: it cannot be read, or holds no calls.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            first = file.readline()
            file.seek(0)
            rows = list(_csv_rows(path, file) if "tenant" in first.split("\n")[0].split(",") else _log_rows(file))
    except (OSError, UnicodeDecodeError) as error:
        raise BadTrafficError(f"{path} cannot be read: {error}") from None
    if not rows:
        raise BadTrafficError(
            f"{path} holds no calls: give a CSV with the header time,tenant or time,tenant,bytes, or the access log of "
            f"a node started with --access-log"
        )
    rows.sort(key=lambda row: row[0])
    held = {tenant: resident_bytes(written or size) for _, tenant, written in rows} | dict(sizes)
    tenants = tuple(dict.fromkeys(tenant for _, tenant, _ in rows))
    numbers = {tenant: number for number, tenant in enumerate(tenants)}
    return Trace(
        tenants,
        np.array([held[tenant] for tenant in tenants], np.int64),
        np.array([numbers[tenant] for _, tenant, _ in rows], np.int64),
        np.array([time for time, _, _ in rows], np.float64),
    )


def read_sizes(path: Path) -> dict[TenantId, int]:
    """Resident bytes by tenant, from a CSV with the columns `tenant` and `bytes` (of the checkpoint).

    Raises:
        BadTrafficError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            return {tenant_id(row["tenant"]): resident_bytes(parse_size(row["bytes"])) for row in rows}
    except (OSError, UnicodeDecodeError, KeyError, TypeError, AttributeError, BadTenantIdError) as error:
        raise BadTrafficError(f"{path} is not a CSV with the header tenant,bytes: {error!r}") from None


def _csv_rows(path: Path, file: Iterator[str]) -> Iterator[tuple[float, TenantId, int]]:
    for number, row in enumerate(csv.DictReader(file), start=2):
        try:
            size = row.get("bytes")
            yield _seconds(row["time"]), tenant_id(row["tenant"]), parse_size(size) if size else 0
        except (KeyError, TypeError, AttributeError, ValueError, BadTenantIdError) as error:
            raise BadTrafficError(
                f"{path}, line {number}: {error}. A line is time,tenant or time,tenant,bytes; the time is ISO "
                f"8601 or seconds"
            ) from None


def _log_rows(file: Iterator[str]) -> Iterator[tuple[float, TenantId, int]]:
    for line in file:
        match = _LOGGED.match(line)
        if match and match[2] == "200":
            yield datetime.fromisoformat(match[1]).timestamp(), TenantId(match[3]), 0


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()
