"""Cron expressions: five fields, as crontab(5) has them. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

_RANGES = {"minute": (0, 59), "hour": (0, 23), "day of month": (1, 31), "month": (1, 12), "day of week": (0, 7)}
# A 29 February that is a given day of the week comes round within this time.
_LONGEST_WAIT = 28 * 366 + 1


class BadScheduleError(ValueError):
    """Not a cron expression, or one that never comes true. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times at which something is due, to the minute; days of the week from 0, a Sunday.

    With both a day of the month and a day of the week given, either will do.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Read `minute hour day-of-month month day-of-week`: numbers, `*`, lists, ranges and steps.

        Raises:
            BadScheduleError: it cannot be read, or never comes true.
        """
        fields = text.split()
        if len(fields) != len(_RANGES):
            raise BadScheduleError(
                f"{text!r} has {len(fields)} fields, not 5: minute hour day-of-month month day-of-week"
            )
        minutes, hours, days, months, weekdays = (
            _numbers(field, name) for field, name in zip(fields, _RANGES, strict=True)
        )
        either_day = not fields[2].startswith("*") and not fields[4].startswith("*")
        schedule = cls(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either_day)
        schedule.after(datetime(2000, 1, 1))
        return schedule

    def after(self, moment: datetime) -> datetime:
        """The first time it is due after `moment`, on the same clock."""
        for passed in range(_LONGEST_WAIT):
            day = moment.date() + timedelta(days=passed)
            if self._is_due_on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        due = datetime.combine(day, time(hour, minute))
                        if due > moment:
                            return due
        raise BadScheduleError("there is no such day in any year")

    def _is_due_on(self, day: date) -> bool:
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (in_month or in_week if self.either_day else in_month and in_week)


def _numbers(field: str, name: str) -> frozenset[int]:
    low, high = _RANGES[name]
    numbers = set[int]()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        last = last or (str(high) if step else first)
        if not (first.isdecimal() and last.isdecimal() and (not step or (step.isdecimal() and int(step)))):
            raise BadScheduleError(f"{part!r} is not a {name}: write numbers, *, 1,2, 1-5 or */10")
        if not low <= int(first) <= int(last) <= high:
            raise BadScheduleError(f"{part!r} is not a {name}: it goes from {low} to {high}")
        numbers.update(range(int(first), int(last) + 1, int(step or 1)))
    return frozenset(numbers)
