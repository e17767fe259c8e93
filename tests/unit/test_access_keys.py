"""The file of API keys: what it holds, what it refuses, and how it is changed."""

import re
from pathlib import Path

import pytest

from tools.access.keys import BadKeysError, add_key, digest, parse_keys, read_keys, revoke_key
from tools.catalog.tenant import tenant_id

HASH, OTHER = digest("one"), digest("two")
A, B = tenant_id("a"), tenant_id("b")


def test_each_line_is_a_key() -> None:
    text = f"# keys\n\n{HASH} checkout a,b\n{OTHER}  ops  *  # everything\n"
    checkout, operations = parse_keys(text)
    assert (checkout.name, checkout.tenants) == ("checkout", frozenset({A, B}))
    assert (operations.name, operations.tenants) == ("ops", None)
    assert checkout.admits("a")
    assert not checkout.admits("c")
    assert operations.admits("c")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (HASH, "line 3: write"),
        (f"{HASH} checkout a, b", "line 3: write"),
        ("secret checkout a", "line 3: 'secret' is not a SHA-256"),
        (f"{HASH.upper()} checkout a", "line 3: .* is not a SHA-256"),
        (f"{HASH} Checkout a", "line 3: 'Checkout' is no name"),
        (f'{HASH} a"b a', "line 3: .* is no name"),
        (f"{HASH} checkout a,,b", "line 3: .* is not a tenant id"),
        (f"{HASH} checkout *,a", "line 3: .* is not a tenant id"),
        (f"{OTHER} checkout a", "line 3: this key is on line 2 already"),
        (f"{HASH} ops a", "line 3: the name ops is on line 2 already"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(line: str, said: str) -> None:
    with pytest.raises(BadKeysError, match=said):
        parse_keys(f"# keys\n{OTHER} ops *\n{line}\n")


def test_a_new_key_is_in_the_file_by_its_hash_alone(tmp_path: Path) -> None:
    file = tmp_path / "api-keys"
    secret, key = add_key(file, "checkout", frozenset({B, A}))
    assert read_keys(file) == (key,)
    assert key.sha256 == digest(secret)
    assert key.tenants == frozenset({A, B})
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_has_no_character_that_ends_an_access_key_id(tmp_path: Path) -> None:
    secret, _ = add_key(tmp_path / "api-keys", None, None)
    assert re.fullmatch(r"orchard_[A-Za-z0-9_-]{43}", secret)


def test_a_name_that_is_taken_is_refused_and_the_file_is_as_before(tmp_path: Path) -> None:
    file = tmp_path / "api-keys"
    add_key(file, "checkout", None)
    before = file.read_text()
    with pytest.raises(BadKeysError, match="the name checkout is on line 2 already"):
        add_key(file, "checkout", None)
    with pytest.raises(BadKeysError, match="is no name"):
        add_key(file, "Check Out", None)
    assert file.read_text() == before


def test_a_revoked_key_is_gone_and_everything_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "api-keys"
    file.write_text(f"# the shop's\n{HASH} checkout a # till Easter\n{OTHER} ops *")
    file.chmod(0o640)
    revoke_key(file, "checkout")
    assert file.read_text() == f"# the shop's\n{OTHER} ops *"
    assert file.stat().st_mode & 0o777 == 0o640
    add_key(file, "shop", frozenset({A}))
    assert [key.name for key in read_keys(file)] == ["ops", "shop"]
    with pytest.raises(BadKeysError, match="no key named 'checkout'"):
        revoke_key(file, "checkout")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadKeysError, match="api-keys cannot be read"):
        read_keys(tmp_path / "api-keys")
    with pytest.raises(BadKeysError, match="nowhere cannot be used"):
        add_key(tmp_path / "nowhere" / "api-keys", None, None)
