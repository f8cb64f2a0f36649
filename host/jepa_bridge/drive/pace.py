"""How long to search: a plan with fewer iterations on time is worth more than a better one too late.

The search is anytime: each iteration ends with a plan that is better than the one before. Pace measures what an
iteration takes and says how many fit before the deadline. What it says is in the log, so replay need not measure.
"""

from __future__ import annotations

# Half a step of 0.2 s: a plan that is older begins with an action that is nearly over.
DEADLINE_US = 100_000
RECOVERY = 0.5  # of a surplus is believed at once: a machine that was busy for a moment is forgotten in a few plans


class Pace:
    """A running measure of the planner's speed. Slowness is believed at once, speed only by and by."""

    def __init__(self, deadline_us: int = DEADLINE_US) -> None:
        self._deadline_us = deadline_us
        self._iteration_us = 0.0  # with its share of what a plan costs beside

    def iterations(self, wanted: int) -> int:
        """How many of `wanted` iterations fit; at least one, for without a plan the robot stops."""
        if self._iteration_us <= 0.0:
            return wanted
        return max(1, min(wanted, int(self._deadline_us / self._iteration_us)))

    def took(self, iterations: int, duration_us: int) -> None:
        """A plan of so many iterations took so long."""
        found_us = duration_us / max(1, iterations)
        if found_us < self._iteration_us:
            found_us = self._iteration_us + RECOVERY * (found_us - self._iteration_us)
        self._iteration_us = found_us
