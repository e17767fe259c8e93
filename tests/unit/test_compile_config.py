"""config.pbtxt: what Triton reads in it, for every release."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from tools.catalog.tenant import TENANT_PATTERN, tenant_id
from tools.compile.config import BadReleaseError, parse_release, render_config
from tools.compile.described import Described
from tools.compile.objectives import OBJECTIVES

_DESCRIBED = Described("binary:logistic", OBJECTIVES["binary:logistic"], 30, 1, (0.5,), 10, 10)
_REGRESSION = replace(_DESCRIBED, objective="reg:gamma", serving=OBJECTIVES["reg:gamma"])


def _parsed(described: Described = _DESCRIBED, tenant: str = "m1", release: str = "24.10") -> Any:
    return text_format.Parse(render_config(tenant_id(tenant), described, release), model_config_pb2.ModelConfig())


def _parameters(config: Any) -> dict[str, str]:
    return {name: value.string_value for name, value in config.parameters.items()}


@given(st.from_regex(TENANT_PATTERN, fullmatch=True), st.integers(1, 10**6), st.integers(2, 1000))
def test_triton_reads_the_dims_of_the_model(tenant: str, features: int, classes: int) -> None:
    serving = OBJECTIVES["multi:softprob"]
    config = _parsed(replace(_DESCRIBED, serving=serving, features=features, groups=classes), tenant)
    assert config.name == tenant
    assert config.backend == "fil"
    assert [(tensor.name, list(tensor.dims)) for tensor in config.input] == [("input__0", [features])]
    assert [(tensor.name, list(tensor.dims)) for tensor in config.output] == [("output__0", [classes])]
    assert {tensor.data_type for tensor in (*config.input, *config.output)} == {model_config_pb2.TYPE_FP32}


def test_one_instance_on_a_cpu_and_no_batching_delay() -> None:
    config = _parsed()
    assert [(group.kind, group.count) for group in config.instance_group] == [
        (model_config_pb2.ModelInstanceGroup.KIND_CPU, 1)
    ]
    assert not config.HasField("dynamic_batching")


@pytest.mark.parametrize(
    ("release", "asked", "unknown"),
    [
        ("24.10", "output_class", "is_classifier"),
        ("25.08", "output_class", "is_classifier"),
        ("25.09", "is_classifier", "output_class"),
        ("26.06", "is_classifier", "output_class"),
    ],
)
def test_the_parameters_are_those_of_the_release(release: str, asked: str, unknown: str) -> None:
    parameters = _parameters(_parsed(release=release))
    assert parameters[asked] == "true"
    assert unknown not in parameters


def test_a_classifier_answers_probabilities() -> None:
    config = _parsed()
    assert list(config.output[0].dims) == [2]
    assert _parameters(config) == {
        "model_type": "treelite_checkpoint",
        "output_class": "true",
        "threshold": "0.5",
        "predict_proba": "true",
        "cpu_nthread": "1",
        "use_experimental_optimizations": "false",
    }


def test_a_regression_answers_one_number() -> None:
    config = _parsed(_REGRESSION)
    assert list(config.output[0].dims) == [1]
    parameters = _parameters(config)
    assert (parameters["output_class"], parameters["predict_proba"]) == ("false", "false")
    assert "threshold" not in parameters


@pytest.mark.parametrize("text", ["24.09", "26.07", "25.13", "25.00", "2.51.0", "25.9", "", "25.09\n", "٢٥.09"])
def test_another_release_is_refused(text: str) -> None:
    with pytest.raises(BadReleaseError, match=r"name one from 24\.10 to 26\.06"):
        parse_release(text)
