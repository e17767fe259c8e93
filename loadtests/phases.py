"""What the sidecar's own histogram says of where the time of cold starts went."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

_SUM = "orchard_cold_phase_seconds_sum"


def phase_seconds(metrics: str) -> dict[str, float]:
    """Seconds spent in each phase since the sidecar started, from the text of its /metrics."""
    return {
        sample.labels["phase"]: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == _SUM
    }


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds spent in each phase between two readings."""
    return {phase: seconds - before.get(phase, 0.0) for phase, seconds in after.items()}
