"""One invocation as a managed endpoint takes it: a body and its type in, predictions out, whatever port it came on."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sidecar.errors import BadInputError, BusyError, LoadFailedError, TritonUnavailableError
from sidecar.http_api import is_missing
from sidecar.kserve import BINARY_HEADER, INPUT, check_body
from sidecar.sagemaker_input import CSV, JSON, Matrix, decode, media_type
from sidecar.sagemaker_output import accepted_type, default_type, encode, form_of, read_answer
from sidecar.serving import Call, Serving, model_path
from sidecar.supply import Origin
from sidecar.triton_client import Answer, TritonClient
from tools.catalog.manifest import Manifest
from tools.catalog.tenant import TenantId

# Triton's own type for KServe's binary extension where no header but Content-Type can be sent, as from boto3.
TRITON_BINARY = "application/vnd.sagemaker-triton.binary+json"
_SIZE_PARAMETER = "json-header-size"
_OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Invoked:
    """An answer, and where the tenant came from if the call waited for a cold start.

    `form` tells the gateway how this model is called and how its answers are read: "<version> <form> <features>
    <outputs>". None where that does not matter or is not certain.
    """

    content_type: str
    body: bytes
    form: str | None
    origin: Origin | None


class Invocations:
    """Answers invocations through `Serving`: the tenant is loaded if it has to be, after the call has been checked."""

    def __init__(self, serving: Serving, triton: TritonClient) -> None:
        self._serving = serving
        self._triton = triton

    async def invoke(self, tenant: TenantId, headers: Mapping[str, str], body: bytes) -> Invoked:
        """Answer one invocation; `headers` ignore case.

        Raises:
            ServingError: as `Serving.answer`; `BadInputError` also when Triton finds the request wrong.
        """
        content_type = headers.get("Content-Type", CSV)
        kind = media_type(content_type)
        if kind in (_OCTETS, TRITON_BINARY) or BINARY_HEADER in headers or (kind == JSON and _is_kserve(body)):
            return await self._pass_on(tenant, _json_length(headers, content_type), body)
        return await self._predict(tenant, content_type, headers.get("Accept", ""), body)

    async def _predict(self, tenant: TenantId, content_type: str, accept: str, body: bytes) -> Invoked:
        answer_type = accepted_type(accept, default_type(media_type(content_type)))
        # What the latest check was made against and gave; the call is checked anew when it has to be sent again.
        checked: list[tuple[Manifest, Matrix]] = []

        def check(manifest: Manifest) -> None:
            checked[:] = [(manifest, decode(body, content_type, manifest.features))]

        def send() -> Awaitable[Answer]:
            return self._infer(tenant, *_binary_request(checked[0][1]))

        answer, origin = await self._call(tenant, check, send)
        manifest = checked[0][0]
        predictions = read_answer(answer.body)
        if predictions.width != manifest.outputs:
            raise BusyError(f"tenant {tenant} is being replaced by a version of another kind; try again")
        form = form_of(manifest)
        # During an update the disk may be one version ahead of the one that answers: nothing is said of that one.
        is_certain = predictions.version == manifest.version
        known = f"{manifest.version} {form.value} {manifest.features} {manifest.outputs}" if is_certain else None
        return Invoked(answer_type, encode(predictions, form, answer_type), known, origin)

    async def _pass_on(self, tenant: TenantId, json_length: str | None, body: bytes) -> Invoked:
        def check(manifest: Manifest) -> None:
            check_body(body, json_length, manifest)

        answer, origin = await self._call(tenant, check, lambda: self._infer(tenant, json_length, body))
        size = answer.headers.get(BINARY_HEADER)
        answer_type = f"{TRITON_BINARY};{_SIZE_PARAMETER}={size}" if size else JSON
        return Invoked(answer_type, answer.body, None, origin)

    def _infer(self, tenant: TenantId, json_length: str | None, body: bytes) -> Awaitable[Answer]:
        headers = {"Content-Type": JSON if json_length is None else _OCTETS}
        if json_length is not None:
            headers[BINARY_HEADER] = json_length
        return self._triton.forward("POST", model_path(tenant, None, "/infer"), headers, body)

    async def _call(
        self, tenant: TenantId, check: Callable[[Manifest], None], send: Callable[[], Awaitable[Answer]]
    ) -> tuple[Answer, Origin | None]:
        answer, origin = await self._serving.answer(Call(tenant, send, is_missing, check))
        if answer.status == 200:
            return answer, origin
        said = _error_of(answer)
        if answer.status == 400:
            raise BadInputError(said)
        if answer.status == 404:
            raise BusyError(
                f"tenant {tenant} was evicted while it was called: the memory budget is too small; try again"
            )
        if answer.status == 503:
            raise TritonUnavailableError(f"{said}; try again shortly")
        raise LoadFailedError(said)


def _is_kserve(body: bytes) -> bool:
    return b'"inputs"' in body and b'"instances"' not in body


def _json_length(headers: Mapping[str, str], content_type: str) -> str | None:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == _SIZE_PARAMETER:
            return value.strip()
    return headers.get(BINARY_HEADER)


def _binary_request(rows: Matrix) -> tuple[str, bytes]:
    """A KServe request for `rows` as binary data, answered as JSON: the length of its header, and the body."""
    data = rows.astype("<f4", copy=False).tobytes()
    tensor = {
        "name": INPUT,
        "shape": rows.shape,
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(data)},
    }
    header = json.dumps({"inputs": [tensor]}).encode()
    return str(len(header)), header + data


def _error_of(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"Triton answered {answer.status}: {answer.body[:200]!r}"
