"""What a node remembers of its tenants' use across restarts."""

from pathlib import Path
from typing import Any

import pytest
from sidecar.usage import UsageFile

from tools.catalog.tenant import TenantId
from tools.eviction.history import History
from tools.eviction.named import POLICIES, PolicyName
from tools.eviction.policy import EvictionPolicy


class Counted:
    """How far the uses were counted."""

    def __init__(self, *state: list[Any]) -> None:
        self.state = list(state)

    def to_json(self) -> list[list[Any]]:
        return self.state

    def restore(self, state: list[list[Any]]) -> None:
        self.state = state


def policy_used(name: PolicyName = PolicyName.RETURN_RATE) -> EvictionPolicy:
    policy = POLICIES[name](History())
    for number in range(600):
        policy.used(TenantId(f"t{number % 7}"), float(number), 1 + (number % 7 == 3))
    return policy


def test_a_restart_finds_what_was_saved(tmp_path: Path) -> None:
    file = tmp_path / "state" / "usage.json"
    before = policy_used()
    UsageFile(file, PolicyName.RETURN_RATE, before, Counted(["t1", 1, 5, 0, 0.5])).save()
    after = POLICIES[PolicyName.RETURN_RATE](History())
    counted = Counted()
    UsageFile(file, PolicyName.RETURN_RATE, after, counted).restore()
    assert counted.state == [["t1", 1, 5, 0, 0.5]]
    assert after.history.to_json(10) == before.history.to_json(10)
    assert after.to_json() == before.to_json()
    assert [path.name for path in file.parent.iterdir()] == ["usage.json"]


def test_another_policy_takes_up_the_uses(tmp_path: Path) -> None:
    file = tmp_path / "usage.json"
    UsageFile(file, PolicyName.LRU, policy_used(PolicyName.LRU), Counted()).save()
    after = POLICIES[PolicyName.LFU](History())
    UsageFile(file, PolicyName.LFU, after, Counted()).restore()
    assert next(after.wanted_first()) == "t3"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "history": {"calls": "x"}}'])
def test_a_damaged_file_is_a_fresh_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "usage.json"
    file.write_bytes(content)
    policy = POLICIES[PolicyName.RETURN_RATE](History())
    UsageFile(file, PolicyName.RETURN_RATE, policy, Counted()).restore()
    assert not list(policy.wanted_first())


def test_a_place_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    UsageFile(tmp_path / "state" / "usage.json", PolicyName.RETURN_RATE, policy_used(), Counted()).save()
