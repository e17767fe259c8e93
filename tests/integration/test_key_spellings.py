"""A key for one tenant reaches no other, however a call is spelt: on a real nginx, before backends that only watch."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sidecar.sagemaker_api import TARGET_HEADER, BadTargetError, target_tenant

from tests.integration.fronts import Front, run_front
from tests.integration.standin import Answer, Seen, StandIn
from tools.access.keys import add_key, read_keys
from tools.catalog.tenant import tenant_id
from tools.gateway import find_scripting, nginx_binary

OURS, THEIRS = "ours", "theirs"
ENDPOINT = "/endpoints/any/invocations"

pytestmark = pytest.mark.skipif(find_scripting(nginx_binary()) is None, reason="this nginx has no JavaScript")

# Whatever may stand between two parts of a path, or within one.
SEPARATORS = ["/", "//", "/./", "/../", "%2f", "%2F", "\\", "/%2e/", "/%2e%2e/", ";", "?", "#", "%00", "%20", ""]
PARTS = [
    "",
    "v2",
    "V2",
    "%762",
    "models",
    "Models",
    OURS,
    THEIRS,
    THEIRS.upper(),
    "%74heirs",
    "their%73",
    "versions",
    "1",
    "01",
    "infer",
    "Infer",
    "config",
    "ready",
    "stats",
    "..",
    ".",
    "repository",
    "index",
    "load",
    ".triton",
    "endpoints",
    "any",
    "invocations",
    "http:",
    f"{OURS}.tar.gz",
    f"{THEIRS}.tar.gz",
]
REST = [
    "/infer",
    "/versions/1/infer",
    "/versions/1",
    "/config",
    "/ready",
    "/stats",
    "",
    "/",
    "/infer/",
    "?x",
    "#/infer",
]
TENANTS = [
    OURS,
    THEIRS,
    THEIRS.upper(),
    "Theirs",
    "%74heirs",
    f"{OURS}/../{THEIRS}",
    f"{OURS}/infer/../../{THEIRS}",
    f"{OURS}%2f..%2f{THEIRS}",
    f"./{THEIRS}",
    f"/{THEIRS}",
    f"{THEIRS}%00",
    f"{OURS}?/v2/models/{THEIRS}",
    f"{OURS};{THEIRS}",
    f"{OURS},{THEIRS}",
]
TARGETS = [
    OURS,
    THEIRS,
    f"{OURS}.tar.gz",
    f"{THEIRS}.tar.gz",
    f"/{THEIRS}.tar.gz",
    f"//{THEIRS}",
    f"{OURS}/../{THEIRS}",
    f"{OURS},{THEIRS}",
    f"{OURS}, {THEIRS}.tar.gz",
    f" {THEIRS} ",
    f"\t{THEIRS}",
    THEIRS.upper(),
    f"{THEIRS}.TAR.GZ",
    f"{THEIRS}.tar.gz.tar.gz",
    f"{THEIRS}%2etar.gz",
    f"{OURS}\x0b{THEIRS}",
    "",
]
NAMES = [
    TARGET_HEADER,
    TARGET_HEADER.lower(),
    TARGET_HEADER.upper(),
    TARGET_HEADER.replace("-", "_"),
    "Target-Model",
    f"{TARGET_HEADER} ",
    f" {TARGET_HEADER}",
]
CARRIERS = [
    "X-Api-Key: {}",
    "x-api-key: {}",
    "Authorization: Bearer {}",
    "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/eu/sagemaker/aws4_request, SignedHeaders=host, Signature=0",
]

paths = st.one_of(
    st.builds(lambda tenant, rest: f"/v2/models/{tenant}{rest}", st.sampled_from(TENANTS), st.sampled_from(REST)),
    st.lists(st.tuples(st.sampled_from(SEPARATORS), st.sampled_from(PARTS)), min_size=1, max_size=8).map(
        lambda pieces: "".join(separator + part for separator, part in pieces)
    ),
    st.just(ENDPOINT),
    st.sampled_from([ENDPOINT + "?TargetModel=" + THEIRS, ENDPOINT + "/", f"/endpoints/{THEIRS}/invocations"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), min_size=1, max_size=40).map("/".__add__),
)
headers = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(TARGETS)), max_size=3)
bodies = st.sampled_from([(b"1,2", "text/csv"), (b"{}", "application/json")])


@dataclass(frozen=True)
class Guarded:
    """A front with keys, before a Triton and a sidecar that only watch."""

    front: Front
    triton: StandIn
    ours: str
    everybodys: str

    def send(self, key: str, method: str, path: str, lines: list[str], body: bytes, content_type: str) -> int:
        """Send exactly this; returns the status, 0 when there was none."""
        host, _, port = self.front.address.partition(":")
        head = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", key, *lines]
        head += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        with socket.create_connection((host, int(port)), timeout=10) as client:
            try:
                client.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)
                answer = b""
                while part := client.recv(65_536):
                    answer += part
            except ConnectionError:
                return 0
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0

    def seen(self) -> list[Seen]:
        """What has come through."""
        return [*self.triton.seen, *self.front.sidecar.seen]

    def forget(self) -> None:
        """Begin anew."""
        self.triton.seen.clear()
        self.front.sidecar.seen.clear()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder: Path = tmp_path_factory.mktemp("keys")
    file = folder / "api-keys"
    ours, _ = add_key(file, "ours", frozenset({tenant_id(OURS)}))
    everybodys, _ = add_key(file, "everybody", None)
    with (
        StandIn() as triton,
        StandIn() as sidecar,
        run_front(folder, triton.address, sidecar, keys=read_keys(file)) as front,
    ):
        guarded = Guarded(front, triton, ours, everybodys)
        # Resident nowhere, so whatever is let through is seen twice.
        triton.answer = Answer(status=404)
        # The gateway's script learns how their answers are read, as it does from their own calls.
        sidecar.answer = Answer(headers={"Content-Type": "text/csv", "Orchard-Form": "1 value 2 1"})
        for tenant in (OURS, THEIRS):
            key, line = CARRIERS[0].format(everybodys), f"{TARGET_HEADER}: {tenant}"
            assert guarded.send(key, "POST", ENDPOINT, [line], b"1,2", "text/csv") == 200
        yield guarded


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["POST", "GET", "PUT", "HEAD"]), paths, headers, st.sampled_from(CARRIERS), bodies)
def test_a_key_reaches_its_own_tenant_alone(
    guarded: Guarded,
    method: str,
    path: str,
    targets: list[tuple[str, str]],
    carrier: str,
    body: tuple[bytes, str],
) -> None:
    guarded.forget()
    lines = [f"{name}: {value}" for name, value in targets]
    guarded.send(carrier.format(guarded.ours), method, path, lines, *body)
    for seen in guarded.seen():
        assert _tenant_of(seen) in (OURS, None), seen


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["POST", "GET"]), paths, headers, st.sampled_from(["", "orchard_x", "Bearer", '"', "é"]), bodies)
def test_without_a_known_key_only_health_is_reached(
    guarded: Guarded,
    method: str,
    path: str,
    targets: list[tuple[str, str]],
    key: str,
    body: tuple[bytes, str],
) -> None:
    for carrier in CARRIERS:
        guarded.forget()
        lines = [f"{name}: {value}" for name, value in targets]
        guarded.send(carrier.format(key), method, path, lines, *body)
        assert guarded.seen() == []


@pytest.mark.parametrize("carrier", CARRIERS)
def test_each_way_of_carrying_a_key_opens_what_it_is_for(guarded: Guarded, carrier: str) -> None:
    for key, tenant, statuses in (
        (guarded.ours, OURS, {200}),
        (guarded.ours, THEIRS, {403}),
        (guarded.everybodys, THEIRS, {200}),
    ):
        for method, path, line in (
            ("POST", f"/v2/models/{tenant}/infer", "X: y"),
            ("POST", f"/v2/models/{tenant}/versions/1/infer", "X: y"),
            ("GET", f"/v2/models/{tenant}", "X: y"),
            ("GET", f"/v2/models/{tenant}/config", "X: y"),
            ("POST", ENDPOINT, f"{TARGET_HEADER}: {tenant}.tar.gz"),
        ):
            guarded.forget()
            assert guarded.send(carrier.format(key), method, path, [line], b"1,2", "text/csv") in statuses, path
            assert {_tenant_of(seen) for seen in guarded.seen()} == ({tenant} if statuses == {200} else set())


def test_of_two_keys_in_two_places_x_api_key_counts(guarded: Guarded) -> None:
    bearer = CARRIERS[2].format(guarded.everybodys)
    assert guarded.send(CARRIERS[0].format(guarded.ours), "GET", f"/v2/models/{THEIRS}", [bearer], b"", "") == 403
    assert guarded.send(CARRIERS[0].format("none"), "GET", f"/v2/models/{OURS}", [bearer], b"", "") == 401


def test_two_keys_in_one_place_are_none(guarded: Guarded) -> None:
    for carrier in CARRIERS:
        second = carrier.format(guarded.everybodys)
        guarded.forget()
        assert guarded.send(carrier.format(guarded.ours), "GET", f"/v2/models/{THEIRS}", [second], b"", "") in {
            400,
            401,
        }
        assert guarded.seen() == []


def _tenant_of(seen: Seen) -> str | None:
    """Whom the backend would take the call to be for, reading as leniently as it can."""
    path = unquote(seen.path.partition("?")[0])
    if path.startswith("/endpoints/"):
        try:
            return target_tenant(seen.headers.get(TARGET_HEADER.lower()))
        except BadTargetError:
            return None
    parts = path.split("/")
    return parts[3] if parts[:3] == ["", "v2", "models"] and len(parts) > 3 else None
