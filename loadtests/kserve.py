"""KServe v2 inference with the binary extension, over a kept-alive connection, and over gRPC with NVIDIA's client.

HTTP is spoken by hand because the client library hides the headers of an answer, and they say whether it was cold.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Protocol

import numpy as np
import tritonclient.grpc
from numpy.typing import NDArray

from loadtests.fraud_data import Floats
from tools.catalog.tenant import TenantId
from tools.plain_request import CHECKED_HEADER

HEADER_LENGTH = "Inference-Header-Content-Length"
COLD_HEADER = "Orchard-Cold"
TIMEOUT_SECONDS = 60.0


class CallFailedError(Exception):
    """The call got no usable answer. The message has the status and what the server said."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`output` is `output__0`; `cold` is "disk" or "fetch" after a cold start, "" when warm, None when unknown."""

    output: NDArray[np.float32]
    cold: str | None


@dataclass(frozen=True, slots=True)
class BinaryRequest:
    """The body of an inference request and the headers that describe it."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response to an inference request. The names of `headers` ignore case."""

    status: int
    headers: Message
    body: bytes

    def answer(self) -> Answer:
        """What a response with status 200 says. Raises `CallFailedError` if that makes no sense."""
        output = read_binary_answer(self.body, int(self.headers.get(HEADER_LENGTH, "0")))
        return Answer(output, self.headers.get(COLD_HEADER, ""))


class Caller(Protocol):
    """One client of a node, for one thread."""

    protocol: str

    def infer(self, tenant: TenantId, rows: Floats) -> Answer:
        """Ask about `rows`, shape (rows, features). Raises `CallFailedError`."""
        ...

    def close(self) -> None: ...


def infer_path(tenant: TenantId) -> str:
    return f"/v2/models/{tenant}/infer"


def binary_request(rows: Floats) -> BinaryRequest:
    """Ask for `output__0` of `rows`, both in binary.

    https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
    """
    payload = np.ascontiguousarray(rows, dtype="<f4").tobytes()
    tensor = {
        "name": "input__0",
        "datatype": "FP32",
        "shape": list(rows.shape),
        "parameters": {"binary_data_size": len(payload)},
    }
    outputs = [{"name": "output__0", "parameters": {"binary_data": True}}]
    header = json.dumps({"inputs": [tensor], "outputs": outputs}, separators=(",", ":")).encode()
    # The last is for Triton asked without a front, which reads nothing else.
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header)), CHECKED_HEADER: "yes"}
    return BinaryRequest(header + payload, headers)


def read_binary_answer(body: bytes, header_length: int) -> NDArray[np.float32]:
    """`output__0` of a binary answer.

    Raises:
        CallFailedError: the body is not such an answer.
    """
    try:
        output = json.loads(body[:header_length])["outputs"][0]
        if (output["name"], output["datatype"]) != ("output__0", "FP32"):
            raise CallFailedError(f"the answer holds {output['name']} of {output['datatype']}")
        return np.frombuffer(body[header_length:], dtype="<f4").reshape(output["shape"])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise CallFailedError(f"not a binary answer: {error!r}: {body[:200]!r}") from error


class HttpCaller:
    """KServe over HTTP at `address` (host:port)."""

    protocol = "http"

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)

    def infer(self, tenant: TenantId, rows: Floats) -> Answer:
        return self.send(tenant, binary_request(rows))

    def send(self, tenant: TenantId, request: BinaryRequest) -> Answer:
        """`infer` with the request made beforehand. Raises `CallFailedError`."""
        response = self.exchange(tenant, request)
        if response.status != 200:
            raise CallFailedError(f"{response.status}: {response.body[:300].decode(errors='replace')}")
        return response.answer()

    def exchange(self, tenant: TenantId, request: BinaryRequest) -> "Response":
        """Send a request and return whatever was answered. Raises `CallFailedError` if nothing was."""
        try:
            self._connection.request("POST", infer_path(tenant), request.body, dict(request.headers))
            response = self._connection.getresponse()
            return Response(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise CallFailedError(f"no answer: {error!r}") from error

    def close(self) -> None:
        self._connection.close()


class GrpcCaller:
    """KServe over gRPC at `address` (host:port)."""

    protocol = "grpc"

    def __init__(self, address: str) -> None:
        self._client = tritonclient.grpc.InferenceServerClient(address)

    def infer(self, tenant: TenantId, rows: Floats) -> Answer:
        tensor = tritonclient.grpc.InferInput("input__0", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(np.ascontiguousarray(rows))
        try:
            result = self._client.infer(tenant, [tensor], client_timeout=TIMEOUT_SECONDS)
        except tritonclient.grpc.InferenceServerException as error:
            raise CallFailedError(str(error)) from error
        output = result.as_numpy("output__0")
        if output is None:
            raise CallFailedError("the answer has no output__0")
        return Answer(output, cold=None)

    def close(self) -> None:
        self._client.close()
