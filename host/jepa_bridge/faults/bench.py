"""All cases, again and again: how long the wheels take to stop, and whether everything else was done.

jepa-bridge bench faults --runs 20 --json
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jepa_bridge.faults import hosts, line, robots
from jepa_bridge.faults.case import CASES, LINK_STOP_MS, Case, Result, Settings, run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CASES", "bench_faults", "hosts", "line", "robots"]  # importing the last three fills the first


LATE_MS = (
    20.0  # a machine that wakes a process later than this disturbs what is measured; a microcontroller has no others
)
TRIES = 5


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value that `share` of them do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def summary(one: Case, results: Sequence[Result], disturbed: Sequence[Result]) -> dict[str, Any]:
    """One row of the report."""
    stops = sorted(ms for result in results for ms in result.stops_ms)
    return {
        "case": one.number,
        "fault": one.fault,
        "required": one.required,
        "since": one.since,
        "limit_ms": one.limit_ms,
        "runs": len(results),
        "passed": sum(result.passed for result in results),
        "stops": len(stops),
        "p50_ms": quantile(stops, 0.5),
        "p99_ms": quantile(stops, 0.99),
        "max_ms": stops[-1] if stops else None,
        "late_ms": max((result.late_ms for result in results), default=0.0),
        "disturbed": len(disturbed),  # run again, and counted here only
        "disturbed_max_ms": max((ms for result in disturbed for ms in result.stops_ms), default=None),
        "disturbed_errors": [result.error for result in disturbed if result.error],
        "errors": [result.error for result in results if result.error],
        "facts": results[-1].facts if results else {},
    }


def bench_faults(
    runs: int, *, only: Sequence[int] = (), hold_s: float = 3.0, progress: Callable[[int, int, str], None]
) -> dict[str, Any]:
    """Run the cases `runs` times each, one after the other; the report.

    A run in which the machine was late is repeated, however it ended, and reported apart.
    """
    chosen = [one for one in CASES if not only or one.number in only]
    rows = []
    for index, one in enumerate(chosen):
        results: list[Result] = []
        disturbed: list[Result] = []
        for run in range(runs):
            progress(index * runs + run, len(chosen) * runs, f"{one.number} {one.fault}")
            for _ in range(TRIES):
                result = run_case(one, Settings(hold_s))
                if result.late_ms <= LATE_MS:
                    results.append(result)
                    break
                disturbed.append(result)
        rows.append(summary(one, results, disturbed))
    progress(len(chosen) * runs, len(chosen) * runs, "")
    link_rows = [row for row in rows if row["limit_ms"] == LINK_STOP_MS and row["max_ms"] is not None]
    return {
        "runs": runs,
        "passed": all(row["passed"] == row["runs"] > 0 for row in rows),
        "link_stop_limit_ms": LINK_STOP_MS,
        "link_stop_max_ms": max((row["max_ms"] for row in link_rows), default=None),
        "cases": rows,
    }
