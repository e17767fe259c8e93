"""A flood on the shared pool is not felt by a tenant with nodes of its own."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from loadtests.kserve import HttpCaller, infer_path
from tests.integration.fleets import address, running_fleet
from tests.integration.orchard import publish, settings_for
from tests.models import train
from tools.catalog.tenant import tenant_id

WHALE, MINNOW = tenant_id("whale"), tenant_id("minnow")
ROUNDS = 5
ROUND_SECONDS = 3.0
CALLS_A_SECOND = 100
# Times below this are the machine's own unrest, which a ratio would make much of.
UNREST = 0.002
BUSY = 0.010


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="pools with CPUs of their own need two")
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk makes the flood: apt-get install wrk")
def test_a_whales_p99_during_a_flood_on_the_shared_pool_is_that_of_quiet_times(tmp_path: Path) -> None:
    first, second, *_ = sorted(os.sched_getaffinity(0))
    model = train("binary:logistic", rounds=50)
    publish(tmp_path, {WHALE: model, MINNOW: model}, settings_for(tmp_path).store)
    pools = {"shared": {"memory_budget": "64MiB", "cpus": first}, "whales": {"memory_budget": "64MiB", "cpus": second}}
    ours = os.sched_getaffinity(0)
    with running_fleet(tmp_path, pools, dedicated={WHALE: "whales"}, limits={"default": "off"}) as fleet:
        os.sched_setaffinity(0, {second})
        try:
            caller = HttpCaller(address(fleet))
            _p99(caller, model.rows[:1], 1.0)
            quiet, flooded = [], []
            for _ in range(ROUNDS):
                quiet.append(_p99(caller, model.rows[:1], ROUND_SECONDS))
                with _flood(address(fleet), first, tmp_path / "wrk.txt"):
                    flooded.append(_p99(caller, model.rows[:1], ROUND_SECONDS))
            caller.close()
        finally:
            os.sched_setaffinity(0, ours)
    said = (tmp_path / "wrk.txt").read_text()
    print(f"\nwhale p99: quiet {1e3 * median(quiet):.1f} ms, flood {1e3 * median(flooded):.1f} ms\n{said}")
    assert "Non-2xx" not in said
    if median(quiet) > BUSY:
        pytest.skip(f"p99 is {1e3 * median(quiet):.0f} ms without a flood: this machine is too busy to tell")
    assert median(flooded) <= max(1.2 * median(quiet), median(quiet) + UNREST)


def _p99(caller: HttpCaller, rows: np.ndarray, seconds: float) -> float:
    """Of calls that begin at fixed times, late ones counted from when they should have begun; in seconds."""
    took = []
    begin = time.perf_counter()
    for number in range(int(seconds * CALLS_A_SECOND)):
        due = begin + number / CALLS_A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        caller.infer(WHALE, rows)
        took.append(time.perf_counter() - due)
    return float(np.quantile(took, 0.99))


@contextmanager
def _flood(front: str, cpu: int, report: Path) -> Iterator[None]:
    script = report.with_name("flood.lua")
    tensor = {"name": "input__0", "datatype": "FP32", "shape": [1, 6], "data": [0.5] * 6}
    script.write_text(f"wrk.method = 'POST'\nwrk.body = '{json.dumps({'inputs': [tensor]})}'\n")
    url = f"http://{front}{infer_path(MINNOW)}"
    wrk = ["wrk", "-t1", "-c16", f"-d{ROUND_SECONDS + 1:.0f}s", "-s", str(script), url]
    with report.open("w") as said, subprocess.Popen(["taskset", "-c", str(cpu), *wrk], stdout=said) as flood:
        try:
            time.sleep(0.3)
            yield
        finally:
            flood.wait(30)
