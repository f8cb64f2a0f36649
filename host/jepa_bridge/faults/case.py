"""What a case is, and how it is run and measured."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError
from jepa_bridge.faults.rig import Broken, lateness

if TYPE_CHECKING:
    from collections.abc import Callable

EXPIRY_MS = 150  # of a command, as the host sends it
RAMP_MS = 100
LINK_STOP_MS = EXPIRY_MS + RAMP_MS + 20  # from the fault, or the last command, to an output of zero


@dataclass(slots=True)
class Outcome:
    """What a case measured in one run."""

    stops_ms: list[float] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be shortened for a quick run."""

    hold_s: float = 3.0  # how long a held host is held; the robot gives its session up after 2 s


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table: a fault, what is required, and the program that makes it happen."""

    number: int
    fault: str
    required: str
    run: Callable[[Settings], Outcome]
    limit_ms: float
    since: str  # what the stop time counts from


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one case."""

    number: int
    stops_ms: tuple[float, ...]
    late_ms: float  # how late the machine was at worst, in waking robot or host
    facts: dict[str, object]
    error: str  # "" if all that is required was done

    @property
    def passed(self) -> bool:
        """Whether it did what is required, within its time."""
        return not self.error


CASES: list[Case] = []


def case(
    number: int, fault: str, required: str, *, limit_ms: float = LINK_STOP_MS, since: str = "the last command"
) -> Callable[[Callable[[Settings], Outcome]], Callable[[Settings], Outcome]]:
    """Enter a function into the table."""

    def enter(run: Callable[[Settings], Outcome]) -> Callable[[Settings], Outcome]:
        CASES.append(Case(number, fault, required, run, limit_ms, since))
        CASES.sort(key=lambda one: one.number)
        return run

    return enter


def run_case(one: Case, settings: Settings | None = None, *, allowed_late: bool = False) -> Result:
    """Run it once. With `allowed_late` the lateness of the machine itself is added to the limit."""
    began_s = time.monotonic()
    outcome = Outcome()
    lateness_ms = lateness()
    lateness_ms.clear()
    error = ""
    try:
        outcome = one.run(settings or Settings())
        limit_ms = one.limit_ms + (max(lateness_ms, default=0.0) if allowed_late else 0.0)
        worst_ms = max(outcome.stops_ms, default=0.0)
        if worst_ms > limit_ms:
            error = f"the wheels stopped after {worst_ms:.0f} ms, expected at most {limit_ms:.0f} ms"
    except Broken as broken:
        error = str(broken)
    except BridgeError as failed:
        error = f"[{failed.code}] {failed.message}"
    facts = {**outcome.facts, "took_s": round(time.monotonic() - began_s, 2)}
    return Result(
        one.number, tuple(round(ms, 1) for ms in outcome.stops_ms), max(lateness_ms, default=0.0), facts, error
    )
