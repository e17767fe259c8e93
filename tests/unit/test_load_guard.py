"""What is held against tenants is kept across restarts, and a damaged file of it is no failure."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sidecar.errors import LoadFailedError, QuarantinedError, TritonGoneError
from sidecar.load_guard import LoadGuard
from sidecar.observability.events import Journal, Kind
from sidecar.presence import Presence
from sidecar.quarantine import Quarantine

from tools.catalog.tenant import TenantId

A, B = TenantId("a"), TenantId("b")


class Life:
    """One run of a sidecar with this file."""

    def __init__(self, file: Path) -> None:
        self.journal, self.presence = Journal(), Presence(0.1)
        self.presence.found()
        self.guard = LoadGuard(Quarantine(), self.presence, self.journal, file)
        self.guard.restore()

    async def load(self, tenant: TenantId, version: int = 1, *, dies: bool = False) -> None:
        self.presence.found()
        async with self.guard.load(tenant, version):
            if dies:
                raise TritonGoneError("it died")

    async def fail(self, tenant: TenantId, meanwhile: Callable[[], None] = lambda: None) -> None:
        async with self.guard.load(tenant, 1):
            meanwhile()
            raise LoadFailedError("no")

    async def die(self, tenant: TenantId) -> None:
        with pytest.raises(TritonGoneError):
            await self.load(tenant, dies=True)


async def test_a_restart_between_two_deaths_forgets_neither(tmp_path: Path) -> None:
    file = tmp_path / "state" / "quarantine.json"
    await Life(file).die(A)
    await Life(file).die(A)
    third = Life(file)
    with pytest.raises(QuarantinedError):
        await third.load(A)
    assert list(third.journal.refused) == [A]
    assert [each.tenant for each in third.guard.quarantined()] == [A]
    await third.load(B)
    assert third.guard.release(A)
    assert not third.guard.release(A)
    await Life(file).load(A)
    assert [path.name for path in file.parent.iterdir()] == ["quarantine.json"]


async def test_what_was_under_way_when_triton_died_is_suspected_whatever_its_error_says(tmp_path: Path) -> None:
    life = Life(tmp_path / "quarantine.json")
    for _ in range(2):
        life.presence.found()
        with pytest.raises(LoadFailedError):
            await life.fail(A, life.presence.lost)
    assert [each.tenant for each in life.guard.quarantined()] == [A]


async def test_a_load_that_fails_and_leaves_triton_alive_is_not_suspected(tmp_path: Path) -> None:
    life = Life(tmp_path / "quarantine.json")
    for _ in range(3):
        with pytest.raises(LoadFailedError):
            await life.fail(A)
    assert life.guard.quarantined() == []
    await life.load(A)


async def test_a_new_version_that_loads_is_the_end_of_it(tmp_path: Path) -> None:
    life = Life(tmp_path / "quarantine.json")
    await life.die(A)
    await life.die(A)
    await life.load(A, version=2)
    assert life.journal.counts[Kind.QUARANTINED, None] == life.journal.counts[Kind.RELEASED, None] == 1
    assert life.journal.refused == {}
    assert Life(tmp_path / "quarantine.json").guard.quarantined() == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"format": 2}',
        b'{"format": 1, "suspicions": {"a": [1, 9]}}',
        b'{"format": 1, "suspicions": {"../a": [1, 1]}}',
    ],
)
async def test_a_damaged_file_holds_nothing_against_anyone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "quarantine.json"
    file.write_bytes(content)
    await Life(file).load(A)


async def test_a_place_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    life = Life(tmp_path / "state" / "quarantine.json")
    await life.die(A)
    await life.load(A)
