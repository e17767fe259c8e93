"""What is no HTTP, or more than one meaning of it: long, many, doubled and smuggled headers, paths and bodies."""

import json
from random import Random

import pytest

from tests.integration.hostile.calls import binary_call, json_call
from tests.integration.hostile.conftest import REFUSALS, Target, assert_refused, message_of

CALL = json.dumps(json_call()).encode()
HEAD = "POST /v2/models/{tenant}/infer HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"POST /v2/repository/models/cold/load HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(CALL), CALL)


def raw(headers: bytes, body: bytes, tenant: str = "warm") -> bytes:
    return HEAD.format(tenant=tenant).encode() + headers + b"\r\n" + body


def length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


SMUGGLERS = {
    "length and chunks": raw(length(CHUNKED) + b"Transfer-Encoding: chunked\r\n", CHUNKED + SMUGGLED),
    "chunks and length": raw(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", CHUNKED + SMUGGLED),
    "two lengths": raw(b"Content-Length: 0\r\n" + length(CALL + SMUGGLED), CALL + SMUGGLED),
    "one length twice": raw(length(CALL) * 2, CALL + SMUGGLED),
    "a list of lengths": raw(b"Content-Length: 0, 99\r\n", CALL + SMUGGLED),
    "a length with a sign": raw(b"Content-Length: +10\r\n", CALL + SMUGGLED),
    "a length in hex": raw(b"Content-Length: 0x10\r\n", CALL + SMUGGLED),
    "a negative length": raw(b"Content-Length: -1\r\n", CALL + SMUGGLED),
    "a length that overflows": raw(b"Content-Length: 18446744073709551617\r\n", CALL + SMUGGLED),
    "chunks twice": raw(b"Transfer-Encoding: chunked\r\n" * 2, CHUNKED + SMUGGLED),
    "chunks of gzip": raw(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKED + SMUGGLED),
    "chunks, oddly spelt": raw(b"Transfer-Encoding: xchunked\r\n", CHUNKED + SMUGGLED),
    "chunks after a tab": raw(b"Transfer-Encoding:\tchunked, identity\r\n", CHUNKED + SMUGGLED),
    "chunks before a space": raw(b"Transfer-Encoding : chunked\r\n" + length(CHUNKED), CHUNKED + SMUGGLED),
    "a folded header": raw(b"A: b\r\n Transfer-Encoding: chunked\r\n" + length(CALL + SMUGGLED), CALL + SMUGGLED),
    "a negative chunk": raw(b"Transfer-Encoding: chunked\r\n", b"-1\r\n" + SMUGGLED),
    "a huge chunk": raw(b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\n" + SMUGGLED),
    "a chunk that is short": raw(b"Transfer-Encoding: chunked\r\n", b"3\r\n" + CALL + b"\r\n0\r\n\r\n" + SMUGGLED),
    "an upgrade": raw(b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 0\r\n", SMUGGLED),
    "a lone line feed": raw(b"A: b\nTransfer-Encoding: chunked\n" + length(CALL), CALL + SMUGGLED),
    "a zero byte": raw(b"A: b\0c\r\n" + length(CALL), CALL + SMUGGLED),
    "a line break in a value": raw(b"A: b\rContent-Length: 0\r\n" + length(CALL), CALL + SMUGGLED),
}  # fmt: skip


@pytest.mark.parametrize("how", SMUGGLERS)
def test_nothing_is_smuggled_past_the_front(target: Target, how: str) -> None:
    answers = target.send_raw(SMUGGLERS[how])
    # A front that reads on after the first request takes the second for one of its own, and Triton's is not public.
    assert [reply.status for reply in answers if reply.status != 200 and reply.status not in REFUSALS] == []
    assert len(answers) <= 2
    for reply in answers:
        if reply.status != 200:
            message_of(reply)


@pytest.mark.parametrize("tenant", ["warm", "cold"])
def test_what_a_client_says_in_our_own_headers_means_nothing(target: Target, tenant: str) -> None:
    ours = {
        "Orchard-Checked": "yes",
        "Orchard-Form": "1 value 6 1",
        "X-Request-Id": "a\tb" * 100,
        "X-Forwarded-For": "127.0.0.1",
        "Host": "127.0.0.1:8500",
        "Connection": "Orchard-Checked, Content-Length",
    }
    assert_refused(target.post(tenant, json.dumps(json_call(shape=[10**12, 6])).encode(), ours))
    assert_refused(target.invoke(tenant, b"x", {**ours, "Content-Type": "text/csv"}))


@pytest.mark.parametrize(
    "headers",
    [
        b"A: " + b"a" * 100_000 + b"\r\n",
        b"a" * 100_000 + b": a\r\n",
        b"".join(b"A%d: b\r\n" % number for number in range(20_000)),
        b"A: b\r\n" * 20_000,
        b": b\r\n",
        b"A\r\n",
        b"A b: c\r\n",
        b"\x01\x02: \x03\r\n",
        b"Host: y\r\n",
        b"Expect: 200-ok\r\n",
        b"Range: bytes=0-18446744073709551615\r\n" * 3,
        b"Content-Type: \x00\r\n",
        b"Inference-Header-Content-Length: 1\r\nInference-Header-Content-Length: 2\r\n",
        b"Content-Encoding: gzip\r\nContent-Encoding: identity\r\n",
    ],
    ids=range(14),
)
def test_headers_that_are_long_many_or_odd_bring_nothing_down(target: Target, headers: bytes) -> None:
    for tenant in ("warm", "cold"):
        body = binary_call()[:-1]  # so that it would be wrong anyhow
        for reply in target.send_raw(raw(headers + length(body) + b"Connection: close\r\n", body, tenant)):
            assert_refused(reply, headers[:60])


def test_paths_of_random_bytes_reach_nothing(target: Target) -> None:
    random = Random(11)
    alphabet = [bytes([byte]) for byte in range(256)] + [
        b"/",
        b"..",
        b"%2e",
        b"%00",
        b"\\",
        b"//",
        b"cold",
        b"infer",
    ] * 20
    for _ in range(300):
        tail = b"".join(random.choices(alphabet, k=random.randint(1, 30)))
        start = random.choice(
            [b"/", b"/v2/", b"/v2/models/", b"/v2/models/cold/", b"/endpoints/", b"/v2/repository/", b""]
        )
        path = start + tail
        for reply in target.send_raw(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + length(b"{}") + b"\r\n{}"):
            assert_refused(reply, path)


@pytest.mark.parametrize(
    "tenant",
    [
        "", ".", "..", "...", "-", "Cold", "cold%00", "cold%0a", "c%6fld",  "cold\\..\\warm", "c\u0660ld",
        "\u0441old", "cold\u200b", "cold'--", "cold;", "$(id)", "{{7*7}}", "%c0%ae%c0%ae", "a" * 129, "cold/",
    ],
)  # fmt: skip
def test_no_spelling_of_a_tenant_reaches_another(target: Target, tenant: str) -> None:
    for rest in ("/infer", "/versions/1/infer", "", "/config", "/ready", "/stats"):
        method = b"POST" if rest.endswith("infer") else b"GET"
        path = f"/v2/models/{tenant}{rest}".encode()
        replies = target.send_raw(method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n" + length(CALL) + b"\r\n" + CALL)
        assert replies or b" " in path
        for reply in replies[:1]:
            assert_refused(reply, path)


@pytest.mark.parametrize(
    "version", ["0", "-1", "1.5", "x", "9" * 19, "9" * 20, "18446744073709551617", "1e3", "%31", "\u0661", "1/../1", ""]
)
def test_no_odd_version_loads_anything(target: Target, version: str) -> None:
    for tenant in ("warm", "cold"):
        path = f"/v2/models/{tenant}/versions/{version}/infer".encode()
        (reply,) = target.send_raw(
            b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + length(CALL) + b"\r\n" + CALL
        )
        assert_refused(reply, path)


def test_bytes_that_are_no_http_at_all_are_answered_or_hung_up_on(target: Target) -> None:
    random = Random(5)
    for number in range(100):
        for reply in target.send_raw(random.randbytes(random.randint(1, 3000)) + b"\r\n\r\n" * (number % 2)):
            assert_refused(reply)
