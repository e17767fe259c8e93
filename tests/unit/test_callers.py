"""The sidecar's own look at API keys: who is let in, and a file that changes or breaks meanwhile."""

from pathlib import Path

import pytest
from sidecar.access.callers import Callers
from sidecar.errors import ForbiddenError, UnauthenticatedError

from tools.access.keys import BadKeysError, add_key, revoke_key
from tools.catalog.tenant import tenant_id

A, B = tenant_id("a"), tenant_id("b")


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_for_its_tenants_and_the_refusal_does_not_depend_on_the_other(tmp_path: Path) -> None:
    secret, _ = add_key(tmp_path / "keys", None, frozenset({A}))
    callers = Callers(tmp_path / "keys")
    callers.admit({"x-api-key": secret}, A)
    with pytest.raises(ForbiddenError) as there:
        callers.admit({"x-api-key": secret}, B)
    with pytest.raises(ForbiddenError) as not_there:
        callers.admit({"x-api-key": secret}, tenant_id("nobody"))
    assert str(there.value) == str(not_there.value)


@pytest.mark.parametrize("carried", ["x-api-key: {}", "authorization: Bearer {}", "authorization: Bearer  {}"])
def test_each_way_of_carrying_a_key_is_read(tmp_path: Path, carried: str) -> None:
    secret, key = add_key(tmp_path / "keys", None, None)
    name, _, value = carried.format(secret).partition(": ")
    assert Callers(tmp_path / "keys").authenticate({name: value}) == key


@pytest.mark.parametrize("carried", ["", "{} ", "Bearer {}x", "bearer {}", "Bearer {} {}", "Basic {}", "{}"])
def test_whatever_else_is_in_the_authorization_is_no_key(tmp_path: Path, carried: str) -> None:
    secret, _ = add_key(tmp_path / "keys", None, None)
    with pytest.raises(UnauthenticatedError):
        Callers(tmp_path / "keys").authenticate({"authorization": carried.format(secret, secret)})


def test_a_change_of_the_file_counts_a_second_later(tmp_path: Path) -> None:
    clock = Clock()
    secret, key = add_key(tmp_path / "keys", "a", None)
    callers = Callers(tmp_path / "keys", clock)
    revoke_key(tmp_path / "keys", "a")
    assert callers.authenticate({"x-api-key": secret}) == key
    clock.now = 1.0
    with pytest.raises(UnauthenticatedError):
        callers.authenticate({"x-api-key": secret})


@pytest.mark.parametrize("broken", ["a line\n", None])
def test_a_file_that_breaks_leaves_the_keys_as_they_were(
    tmp_path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    file = tmp_path / "keys"
    secret, key = add_key(file, "a", None)
    whole = file.read_text()
    callers = Callers(file, clock)
    file.unlink() if broken is None else file.write_text(broken)
    for clock.now in (1.0, 2.0, 3.0):
        assert callers.authenticate({"x-api-key": secret}) == key
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    file.write_text(whole)
    clock.now = 4.0
    assert callers.authenticate({"x-api-key": secret}) == key


def test_a_sidecar_does_not_start_with_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(BadKeysError, match="cannot be read"):
        Callers(tmp_path / "keys")
