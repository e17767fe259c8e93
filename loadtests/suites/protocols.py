"""A call as the two public paths carry it, and what their answers are worth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from loadtests.fraud_data import Floats
from loadtests.kserve import HEADER_LENGTH, CallFailedError, binary_request, infer_path, read_binary_answer
from loadtests.models import Reference
from loadtests.traffic import Call

_ENDPOINT_PATH = "/endpoints/orchard/invocations"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP POST."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a call is made, and how its answer is read: `check` says what is wrong with it, "" when nothing is."""

    name: str
    request: Callable[[Call, Reference], Request]
    check: Callable[[Call, Reference, bytes, Mapping[str, str]], str]


def _kserve_request(call: Call, reference: Reference) -> Request:
    request = binary_request(_rows(call, reference))
    return Request(infer_path(call.tenant), request.body, request.headers)


def _kserve_check(call: Call, reference: Reference, body: bytes, headers: Mapping[str, str]) -> str:
    try:
        answer = read_binary_answer(body, int(headers.get(HEADER_LENGTH, "0")))
    except CallFailedError as error:
        return str(error)
    return "" if len(answer) == call.rows and reference.agrees(call.first, answer) else "a wrong answer"


def _sagemaker_request(call: Call, reference: Reference) -> Request:
    headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Target-Model": f"{call.tenant}.tar.gz"}
    lines = (",".join("" if np.isnan(value) else str(value) for value in row) for row in _rows(call, reference))
    return Request(_ENDPOINT_PATH, "\n".join(lines).encode(), headers)


def _sagemaker_check(call: Call, reference: Reference, body: bytes, headers: Mapping[str, str]) -> str:
    expected = reference.answers[call.first : call.first + call.rows, 1]
    try:
        answer = np.array([float(number) for number in body.decode().replace("\n", ",").split(",")])
    except ValueError:
        return f"not CSV: {body[:80]!r}"
    right = answer.shape == expected.shape and bool(np.all(np.abs(answer - expected) <= 1e-5))
    return "" if right else "a wrong answer"


def _rows(call: Call, reference: Reference) -> Floats:
    rows: Floats = reference.rows[call.first : call.first + call.rows]
    return rows


KSERVE = Protocol("KServe", _kserve_request, _kserve_check)
# For binary classifiers, which all models of the suites are.
SAGEMAKER = Protocol("SageMaker", _sagemaker_request, _sagemaker_check)
PROTOCOLS = {"kserve": KSERVE, "sagemaker": SAGEMAKER}
