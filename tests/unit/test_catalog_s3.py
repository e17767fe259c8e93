"""The S3 store with a client that misbehaves in ways a real server cannot be made to."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, SSLError
from botocore.response import StreamingBody

from tools.catalog.retry import Retrying
from tools.catalog.s3 import S3Store
from tools.catalog.store import SmallObject, StoreDeniedError, StoreDownError, StoreError

Answer = Callable[[], Any]


def refusal(status: int, code: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Operation")


def failing(error: Exception) -> Answer:
    def answer() -> Any:
        raise error

    return answer


def body(content: bytes, claimed: int | None = None, etag: str = '"e"', **headers: Any) -> Answer:
    size = len(content) if claimed is None else claimed
    return lambda: {
        "Body": StreamingBody(io.BytesIO(content), size),
        "ContentLength": size,
        "ETag": etag,
        **headers,
    }


@dataclass
class Client:
    """Gives the answers it was given, the last one for ever, and keeps what it was asked."""

    answers: list[Answer]
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, operation: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.asked.append((operation, arguments))
            return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()

        return call


def store(*answers: Answer) -> tuple[S3Store, Client]:
    client = Client(list(answers))
    return S3Store(client, "b", "p", Retrying(sleep=lambda _: None), part_bytes=4), client


def read(s3: S3Store) -> bytes:
    stream = s3.open("m1/x")
    assert stream is not None
    with stream as opened:  # type: ignore[union-attr]
        return b"".join(iter(lambda: opened.read(3), b""))


def test_an_answer_cut_short_is_asked_for_again() -> None:
    s3, client = store(body(b"hal", claimed=4), body(b"half"))
    assert s3.read("m1/live.json") == SmallObject(b"half", "e")
    assert len(client.asked) == 2


def test_a_first_part_cut_short_is_completed() -> None:
    head, rest = body(b"ab", claimed=4, ContentRange="bytes 0-3/8"), body(b"efgh")
    s3, client = store(head, rest, body(b"cd"))
    assert read(s3) == b"abcdefgh"
    assert sorted(arguments["Range"] for _, arguments in client.asked) == ["bytes=0-3", "bytes=2-3", "bytes=4-7"]


def test_a_server_that_ignores_ranges_is_read_in_one_go() -> None:
    s3, client = store(body(b"a whole object"))
    assert read(s3) == b"a whole object"
    assert len(client.asked) == 1


def test_a_server_that_breaks_off_and_ignores_ranges_is_an_error_and_no_mixture() -> None:
    s3, _ = store(body(b"a who", claimed=14), body(b"a whole object"))
    with pytest.raises(StoreError, match="does not serve ranges"):
        read(s3)


@pytest.mark.parametrize(
    "error",
    [
        refusal(500, "InternalError"),
        refusal(503, "SlowDown"),
        refusal(429, "TooManyRequests"),
        refusal(400, "RequestTimeout"),
        refusal(409, "ConditionalRequestConflict"),
        EndpointConnectionError(endpoint_url="http://x"),
        ConnectTimeoutError(endpoint_url="http://x"),
    ],
)
def test_what_should_pass_is_tried_again_a_few_times(error: Exception) -> None:
    s3, client = store(failing(error), failing(error), body(b"x"))
    assert s3.read("m1/live.json") == SmallObject(b"x", "e")
    s3, client = store(failing(error))
    with pytest.raises(StoreDownError):
        s3.read("m1/live.json")
    assert len(client.asked) == 4


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (refusal(403, "AccessDenied"), StoreDeniedError, "policy"),
        (refusal(403, "RequestTimeTooSkewed"), StoreDeniedError, "clock"),
        (refusal(404, "NoSuchBucket"), StoreError, "Make the bucket"),
        (refusal(301, "PermanentRedirect"), StoreError, "PermanentRedirect"),
        (SSLError(endpoint_url="https://x", error="bad certificate"), StoreError, "bad certificate"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(error: Exception, kind: type[Exception], hint: str) -> None:
    s3, client = store(failing(error))
    with pytest.raises(kind, match=hint) as caught:
        s3.read("m1/live.json")
    assert not isinstance(caught.value, StoreDownError)
    assert len(client.asked) == 1


def test_an_object_put_if_absent_is_put_conditionally() -> None:
    s3, client = store(failing(refusal(404, "404")), lambda: {"ETag": '"new"'})
    assert s3.put("m1/1.tar.zst", b"x", if_absent=True) == "new"
    assert client.asked[1] == (
        "put_object",
        {"Bucket": "b", "Key": "p/m1/1.tar.zst", "Body": b"x", "IfNoneMatch": "*"},
    )


def test_whoever_loses_the_race_to_put_is_told() -> None:
    s3, _ = store(failing(refusal(404, "404")), failing(refusal(412, "PreconditionFailed")))
    assert s3.put("m1/1.tar.zst", b"x", if_absent=True) is None


def test_a_server_without_conditional_puts_gets_plain_ones() -> None:
    s3, client = store(failing(refusal(404, "404")), failing(refusal(501, "NotImplemented")), lambda: {"ETag": '"new"'})
    assert s3.put("m1/1.tar.zst", b"x", if_absent=True) == "new"
    assert "IfNoneMatch" not in client.asked[2][1]


def test_a_conditional_read_asks_with_the_etag_it_knows() -> None:
    s3, client = store(body(b"x"))
    s3.read("m1/live.json", "e0")
    s3.open("m1/live.json", "e0")
    assert [arguments["IfNoneMatch"] for _, arguments in client.asked] == ['"e0"', '"e0"']
