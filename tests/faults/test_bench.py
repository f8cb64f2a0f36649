"""`bench faults` as its user runs it, and what its report counts."""

from __future__ import annotations

import json
import subprocess
import sys

from jepa_bridge.errors import Exit
from jepa_bridge.faults import bench
from jepa_bridge.faults.case import Case, Outcome, Result, Settings

PROGRAM = [sys.executable, "-c", "from jepa_bridge.cli import main; main()"]


def test_one_case_from_the_command_line():
    options = ["bench", "faults", "--case", "12", "--runs", "1", "--json"]
    ran = subprocess.run([*PROGRAM, *options], capture_output=True, text=True, timeout=100, check=False)
    report = json.loads(ran.stdout)
    (row,) = report["cases"]
    assert row["case"] == 12
    assert ran.returncode == (Exit.OK if report["passed"] else Exit.CHECK_FAILED)  # a busy machine may disturb it
    assert row["disturbed"] or row["stops"] == 1


def played(monkeypatch, outcomes):
    """A report over one case whose runs end like this: (stop in ms, lateness in ms, error)."""
    ends = iter(outcomes)

    def run_case(one, settings):
        stop_ms, late_ms, error = next(ends)
        return Result(one.number, (stop_ms,), late_ms, {}, error)

    one = Case(1, "a fault", "a stop", lambda _: Outcome(), bench.LINK_STOP_MS, "then")
    monkeypatch.setattr(bench, "CASES", [one])
    monkeypatch.setattr(bench, "run_case", run_case)
    assert Settings().hold_s > 2
    return bench.bench_faults(3, progress=lambda *_: None)


def test_disturbed_runs_are_repeated_and_reported_apart(monkeypatch):
    report = played(monkeypatch, [(200, 1, ""), (400, 80, "late"), (210, 50, ""), (220, 2, ""), (205, 3, "")])
    (row,) = report["cases"]
    assert (row["runs"], row["passed"], row["p50_ms"], row["max_ms"]) == (3, 3, 205, 220)
    assert (row["disturbed"], row["disturbed_max_ms"], row["disturbed_errors"]) == (2, 400, ["late"])
    assert report["passed"]
    assert report["link_stop_max_ms"] == 220


def test_a_run_that_failed_undisturbed_fails_the_report(monkeypatch):
    report = played(monkeypatch, [(200, 1, ""), (300, 2, "too late"), (200, 1, "")])
    assert not report["passed"]
    assert report["cases"][0]["errors"] == ["too late"]


def test_a_case_that_was_always_disturbed_is_not_passed(monkeypatch):
    assert not played(monkeypatch, [(200, 90, "")] * 3 * bench.TRIES)["passed"]
