"""When a child process that died is started again. Pure: the clock is the caller's."""

from dataclasses import dataclass

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
GROWTH = 2.0
# A child that has lived as long as this is taken for a healthy one: what ended it had another cause.
HEALTHY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class BackOff:
    """How many of a child's last lives were short ones. A new child has had none.

    The first restart comes at once, nearly; each short life after it makes the pause `GROWTH` times as long, up to
    `LONGEST_PAUSE`. All times are in seconds.
    """

    short_lives: int = 0

    def died(self, lived: float) -> "BackOff":
        """What is known after one more death, of a child that was ready for `lived` seconds; 0 if it never was."""
        return BackOff(1 if lived >= HEALTHY_SECONDS else self.short_lives + 1)

    @property
    def pause(self) -> float:
        """How long to wait before the next start."""
        if not self.short_lives:
            return 0.0
        # Bounded before the power is taken: a child that never lives may die a million times.
        steps = min(self.short_lives - 1, 64)
        return float(min(FIRST_PAUSE * GROWTH**steps, LONGEST_PAUSE))
