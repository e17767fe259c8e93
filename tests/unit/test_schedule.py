"""Cron expressions."""

from datetime import datetime

import pytest
from sidecar.schedule import BadScheduleError, Schedule

NOW = datetime(2026, 7, 15, 10, 30, 20)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("* * * * *", datetime(2026, 7, 15, 10, 31)),
        ("30 6 * * *", datetime(2026, 7, 16, 6, 30)),
        ("*/20 * * * *", datetime(2026, 7, 15, 10, 40)),
        ("0 7 * * 1-5", datetime(2026, 7, 16, 7, 0)),
        ("0 7 * * 0", datetime(2026, 7, 19, 7, 0)),
        ("0 7 * * 7", datetime(2026, 7, 19, 7, 0)),
        ("15,45 10 1 * *", datetime(2026, 8, 1, 10, 15)),
        ("0 0 29 2 *", datetime(2028, 2, 29)),
        ("0 0 20 * 5", datetime(2026, 7, 17)),
        ("5/30 10 * * *", datetime(2026, 7, 15, 10, 35)),
    ],
)
def test_the_next_time_is_that_of_crontab(text: str, due: datetime) -> None:
    assert Schedule.parse(text).after(NOW) == due


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("* * * *", "4 fields, not 5"),
        ("60 * * * *", "'60' is not a minute: it goes from 0 to 59"),
        ("* * * * mon", "'mon' is not a day of week"),
        ("*/0 * * * *", "'.*/0' is not a minute"),
        ("* 5-3 * * *", "'5-3' is not a hour"),
        ("0 0 30 2 *", "no such day"),
    ],
)
def test_what_is_no_cron_expression_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(BadScheduleError, match=complaint):
        Schedule.parse(text)
