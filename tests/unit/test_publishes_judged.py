"""What is made of the replies a node gave while new versions were published."""

import numpy as np
import pytest

from loadtests.crowd import Crowd
from loadtests.models import Reference
from loadtests.pressure import Reply
from loadtests.updates import Round, Updates, judge
from tools.catalog.tenant import TenantId

A = TenantId("a")
INTERVAL = 5.0


@pytest.fixture(scope="module")
def versions() -> list[Reference]:
    crowd = Crowd(shapes=2)
    return [crowd.reference(number) for number in (0, 1_000, 2_000)]


def judged(versions: list[Reference], *replies: Reply) -> Updates:
    rounds = [Round(began=at, done={A: at + 0.5}) for at in (0.0, 10.0, 20.0)]
    return judge(replies, {A: versions}, rounds, INTERVAL, loads=0)


def reply(versions: list[Reference], version: int, asked: float) -> Reply:
    return Reply(A, asked, asked + 0.01, 200, versions[version].answers)


def test_each_answer_is_known_by_its_version_and_old_ones_are_allowed_for_an_interval(
    versions: list[Reference],
) -> None:
    seen = judged(
        versions, reply(versions, 0, 5), reply(versions, 0, 14), reply(versions, 1, 15), reply(versions, 2, 21)
    )
    assert seen.broken == []
    assert seen.publishes == 2
    assert seen.behind == (0.0, 3.5)


def test_an_answer_of_two_versions_is_found(versions: list[Reference]) -> None:
    mixed = np.concatenate([versions[0].answers[:8], versions[1].answers[8:]])
    seen = judged(versions, Reply(A, 11.0, 11.1, 200, mixed))
    assert seen.broken == ["every answer is of one version"]


def test_an_old_answer_after_the_interval_is_found(versions: list[Reference]) -> None:
    assert judged(versions, reply(versions, 1, 28)).broken == ["after the interval only the new one"]


def test_an_answer_before_its_time_is_found(versions: list[Reference]) -> None:
    assert judged(versions, reply(versions, 2, 12)).broken == ["a version answers when it is published, not before"]


@pytest.mark.parametrize("status", [0, 404, 503])
def test_a_call_without_an_answer_is_found(versions: list[Reference], status: int) -> None:
    assert judged(versions, Reply(A, 11.0, 11.1, status)).broken == ["every request is answered"]
