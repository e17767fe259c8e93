"""What is known of a node and of the machine it is to run on. Sizes are in bytes, times in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Port:
    """One of the node's addresses. `taken` says whether something listens there."""

    name: str
    host: str
    number: int
    taken: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """What a node is made of; None where nothing was found. Versions are as the parts tell them.

    `missing_tools` are programs of the system that are needed and not there.
    """

    triton: str | None
    triton_version: str | None
    backend: str | None
    nginx_version: str | None
    has_scripting: bool
    treelite_version: str | None
    xgboost_version: str | None
    jemalloc: str | None
    missing_tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """`limit` is what the machine, or the control group, has; `available` is what nobody uses."""

    budget: int
    limit: int
    available: int
    is_group: bool


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk tier's folder: `used` is what it holds already, `free` what the file system has left."""

    folder: str
    budget: int
    used: int
    free: int
    is_writable: bool


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """How the store answered. `error` says why it did not.

    `ahead` is how much this machine's clock is ahead of the store's, None where the store has none of its own.
    `published` is when the latest of the versions looked at was made, in seconds since the epoch.
    """

    address: str
    error: str | None = None
    seconds: float = 0.0
    tenants: int = 0
    ahead: float | None = None
    published: float | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """What a running node says of itself."""

    answers: bool
    triton_up: bool = False
    quarantined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. `running` is None when no node runs from the state folder."""

    now: float
    ports: tuple[Port, ...]
    parts: Parts
    memory: Memory
    disk: Disk
    store: StoreFacts
    descriptors: int
    running: Running | None = None
