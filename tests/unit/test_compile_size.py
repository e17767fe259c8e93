"""The estimate of resident bytes, against what NVIDIA's FIL backend was measured to need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.compile.size import resident_bytes

_MB = 1_000_000


@pytest.mark.parametrize(("checkpoint", "measured"), [(0.185, 0.5), (1.0, 1.4), (45.0, 61.0), (40.9, 57.1)])
def test_the_estimate_covers_what_was_measured_without_much_to_spare(checkpoint: float, measured: float) -> None:
    estimate = resident_bytes(int(checkpoint * _MB)) / _MB
    assert measured <= estimate <= measured * 1.1 + 0.3


@given(st.integers(0, 1 << 40))
def test_the_estimate_keeps_the_contract(checkpoint: int) -> None:
    assert checkpoint < resident_bytes(checkpoint) <= 1.4 * checkpoint + _MB
