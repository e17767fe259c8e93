"""Entries of a Triton repository for the FIL backend, right ones and wrong ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import treelite
import xgboost

PARAMETERS: Mapping[str, str] = {
    "model_type": "treelite_checkpoint",
    "predict_proba": "true",
    "output_class": "true",
    "threshold": "0.5",
    "cpu_nthread": "1",
    "use_experimental_optimizations": "true",
}
REGRESSION = {"predict_proba": None, "output_class": "false", "threshold": None}


def checkpoint(booster: xgboost.Booster) -> bytes:
    """The booster as a treelite checkpoint."""
    return bytes(treelite.frontend.from_xgboost(booster).serialize_bytes())


@dataclass(frozen=True, slots=True)
class Entry:
    """A config.pbtxt. `parameters` are added to PARAMETERS; a value of None takes one away."""

    features: int
    outputs: int
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    max_batch_size: int = 4096
    instances: int = 1
    kind: str = "KIND_CPU"
    input_name: str = "input__0"
    output_name: str = "output__0"
    input_type: str = "TYPE_FP32"
    output_type: str = "TYPE_FP32"
    more: str = ""

    def config(self) -> str:
        """The text of config.pbtxt."""
        batch = "-1, " if self.max_batch_size == 0 else ""
        chosen = {**PARAMETERS, **self.parameters}
        parameters = ",\n".join(
            f'  {{ key: "{key}" value: {{ string_value: "{value}" }} }}'
            for key, value in chosen.items()
            if value is not None
        )
        return f"""backend: "fil"
max_batch_size: {self.max_batch_size}
input [{{ name: "{self.input_name}" data_type: {self.input_type} dims: [ {batch}{self.features} ] }}]
output [{{ name: "{self.output_name}" data_type: {self.output_type} dims: [ {batch}{self.outputs} ] }}]
instance_group [{{ kind: {self.kind} count: {self.instances} }}]
parameters [
{parameters}
]
{self.more}
"""

    def write(self, repository: Path, name: str, model: bytes, file_name: str = "checkpoint.tl") -> None:
        """Write the entry `name`, version 1, with `model` as its file."""
        version = repository / name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (version / file_name).write_bytes(model)
        (repository / name / "config.pbtxt").write_text(self.config())
