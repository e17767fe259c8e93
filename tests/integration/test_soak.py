"""The soak, in short form: everything at once, and nothing is wrong, grown or left behind."""

from pathlib import Path

from loadtests.soak.run import soak


def test_a_node_that_is_published_to_called_flooded_and_killed_answers_right_and_leaks_nothing(tmp_path: Path) -> None:
    result = soak(tmp_path, minutes=1.0, tenants=8, versions=3)
    assert result.broken == [], result
    assert {"sidecar killed", "triton killed", "published", "evicted", "flooded"} <= result.deeds.keys()
