"""What `orchard plan` foretells is what a node does, in short form; and a node that restarts is warm."""

import pytest

from loadtests.fleets import train_fleet
from loadtests.plan_check.check import Stage, check, check_restart, make_calls, prepare, specs, traces
from tools.eviction.named import PolicyName
from tools.plan.read import read_calls

TENANTS, CALLS = 40, 900


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("plan")
    return prepare(train_fleet(specs(TENANTS), folder / "fleets"), folder)


@pytest.mark.parametrize(("name", "policy"), [("changing", PolicyName.RETURN_RATE), ("sessions", PolicyName.LRU)])
def test_a_node_has_the_hit_ratio_that_was_foretold(stage: Stage, name: str, policy: PolicyName) -> None:
    trace = stage.with_sizes(traces(TENANTS, CALLS)[name])
    outcome = check(stage, name, trace, 0.25, policy, warm_up=300)
    assert outcome.error <= 0.02, outcome


def test_a_node_that_restarts_loads_who_is_worth_it_before_anyone_calls(stage: Stage) -> None:
    trace = stage.with_sizes(traces(TENANTS, CALLS)["independent"])
    restart = check_restart(stage, trace, 0.25, PolicyName.RETURN_RATE, after=300)
    assert restart.loaded > 3
    assert restart.after > restart.unbroken - 0.05, restart


def test_the_access_log_of_a_node_is_the_traffic_it_had(stage: Stage) -> None:
    trace = stage.with_sizes(traces(TENANTS, 100)["independent"])
    with stage.node("logged", int(trace.sizes.sum()), PolicyName.LRU) as node:
        make_calls(stage, node, trace)
    logged = read_calls(node.log("access"), 1, stage.sizes)
    assert [logged.tenants[call] for call in logged.calls] == [trace.tenants[call] for call in trace.calls]
    assert dict(zip(logged.tenants, logged.sizes.tolist(), strict=True)).items() <= stage.sizes.items()
