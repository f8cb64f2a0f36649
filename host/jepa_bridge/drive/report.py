"""What a drive reports: snapshots for the status display while it runs, a summary when it has ended."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jepa_bridge.drive.core import Decision, Progress
    from jepa_bridge.link import Health, LinkStats
    from jepa_bridge.link.schema import State
    from jepa_bridge.types import Goal, Observation


@dataclass(slots=True)
class LoopTimes:
    """The last few hundred durations, for the status line and the summary."""

    plan_us: deque[int] = field(default_factory=lambda: deque(maxlen=500))
    tick_us: deque[int] = field(default_factory=lambda: deque(maxlen=2000))
    reaction_us: deque[int] = field(
        default_factory=lambda: deque(maxlen=2000)
    )  # SENSOR received -> command handed over


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the status display shows; its own, so that another thread may draw it."""

    observation: Observation | None
    goal: Goal | None
    decision: Decision | None
    confidence: float | None
    state: State | None
    health: Health
    stats: LinkStats
    progress: Progress  # a copy
    plan_ms: float | None  # median
    tick_ms: float | None  # p99
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class DriveSummary:
    """How the run ended."""

    reached: bool
    goals: tuple[dict[str, object], ...]
    distance_m: float
    duration_s: float
    contacts: int | None  # None: this robot has no bump sensor
    plans: int
    plans_gated: int
    log: str | None
    model: str
    robot: str
    link: dict[str, object]
    times_ms: dict[str, float | None]
    ended_by: str  # reached, time-limit, interrupted


def quantile_ms(values_us: Sequence[int] | deque[int], q: float) -> float | None:
    """The q-quantile of durations in microseconds, in milliseconds; None without any."""
    if not values_us:
        return None
    ordered = sorted(values_us)
    return round(ordered[min(len(ordered) - 1, int(q * len(ordered)))] / 1000, 3)
