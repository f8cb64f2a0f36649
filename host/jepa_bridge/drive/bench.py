"""`jepa-bridge bench drive`: the whole program as its user starts it, over many seeds of the twin.

Each run is a process of its own. The time to the first wheel movement counts from the process's start to the first
SENSOR frame in the log that reports a turning wheel, so it holds imports, the twin's start, handshake and first plan.

`footprint` is for `bench plan`: memory and start of a bridge alone, its robot in another process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jepa_bridge.link import decode
from jepa_bridge.link.schema import Sensor
from jepa_bridge.record import read_log

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S = 300.0
PROGRAM = (sys.executable, "-c", "from jepa_bridge.cli import main; main()")
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class DriveTrial:
    """One run of the program."""

    seed: int
    exit_status: int
    reached: bool
    first_movement_s: float | None  # since the process was started
    duration_s: float | None
    distance_m: float | None
    contacts: int | None
    plan_ms: float | None  # median
    gated: float | None  # share of plans below the confidence gate
    replay_same: bool


def drive_trial(seed: int, *, arena: str, goal: str, model: str, speed: float) -> DriveTrial:
    """Run `jepa-bridge --port sim://ARENA?seed=SEED --goal GOAL --once --json`, then `replay --check` its log."""
    port = f"sim://{arena}?seed={seed}&speed={speed:g}"
    with tempfile.TemporaryDirectory() as folder:
        started_ns = time.time_ns()
        options = ["--port", port, "--goal", goal, "--once", "--json", "--model", model, "--log", folder]
        drove = subprocess.run([*PROGRAM, *options], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        logs = sorted(Path(folder).glob("*.mcap"))
        summary: dict[str, Any] = json.loads(drove.stdout) if drove.stdout.strip() else {}
        if not logs or "reached" not in summary:
            return DriveTrial(seed, drove.returncode, False, None, None, None, None, None, None, False)
        replay = [*PROGRAM, "replay", "--check", "--json", str(logs[0]), "--model", model]
        replayed = subprocess.run(replay, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        moved_ns = _first_movement_ns(logs[0])
    plans = summary["plans"]
    return DriveTrial(
        seed=seed,
        exit_status=drove.returncode,
        reached=summary["reached"],
        first_movement_s=None if moved_ns is None else round((moved_ns - started_ns) / 1e9, 3),
        duration_s=summary["duration_s"],
        distance_m=summary["distance_m"],
        contacts=summary["contacts"],
        plan_ms=summary["times_ms"]["plan_median"],
        gated=round(summary["plans_gated"] / plans, 3) if plans else None,
        replay_same=replayed.returncode == 0,
    )


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a running bridge takes of its machine."""

    peak_memory_mb: float  # resident, megabytes of 10^6 bytes
    first_plan_s: float | None  # since the process was started; None: the log holds no plan


def footprint(model: str, *, goal: str = "4,4") -> Footprint:
    """One drive in `open`; the twin stands behind a pty in a process of its own, as a robot would. Linux only."""
    with tempfile.TemporaryDirectory() as folder:
        twin = subprocess.Popen([*PROGRAM, "twin", "open?seed=1"], stdout=subprocess.PIPE, text=True)
        try:
            assert twin.stdout is not None
            port = json.loads(twin.stdout.readline())["port"]
            options = ["--port", port, "--goal", goal, "--once", "--json", "--model", model, "--log", folder]
            started_ns = time.time_ns()
            bridge = subprocess.Popen([*PROGRAM, *options], stdout=subprocess.DEVNULL)
            peak_kb, until = 0, time.monotonic() + TIMEOUT_S
            while bridge.poll() is None:
                if time.monotonic() > until:
                    bridge.kill()
                peak_kb = max(peak_kb, _peak_memory_kb(bridge.pid))
                time.sleep(POLL_S)
        finally:
            twin.terminate()
            twin.communicate()
        logs = sorted(Path(folder).glob("*.mcap"))
        planned_ns = _first_plan_ns(logs[0]) if logs else None
    first_plan_s = None if planned_ns is None else round((planned_ns - started_ns) / 1e9, 3)
    return Footprint(round(peak_kb * 1024 / 1e6, 1), first_plan_s)


def _peak_memory_kb(pid: int) -> int:
    """The most that was resident so far, as the kernel counts it; 0 once the process has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _first_plan_ns(path: Path) -> int | None:
    """Wall time of the first plan."""
    log = read_log(path)
    first = next(iter(log.records(("plan",))), None)
    return None if first is None else first.t_us * 1000 + int(log.metadata["recorder"]["epoch_offset_ns"])


def _first_movement_ns(path: Path) -> int | None:
    """Wall time of the first SENSOR frame with a turning wheel."""
    log = read_log(path)
    epoch_offset_ns = int(log.metadata["recorder"]["epoch_offset_ns"])
    for record in log.records(("wire/device",)):
        message = decode(record.data)
        if isinstance(message, Sensor) and (message.left_mm_s or message.right_mm_s):
            return record.t_us * 1000 + epoch_offset_ns
    return None


def bench_drive(
    seeds: int, *, arena: str, goal: str, model: str, speed: float, progress: Callable[[int, int, str], None]
) -> dict[str, Any]:
    """Runs one after the other; returns the trials and their summary."""
    trials = []
    for seed in range(1, seeds + 1):
        progress(seed - 1, seeds, f"sim://{arena}?seed={seed}")
        trials.append(drive_trial(seed, arena=arena, goal=goal, model=model, speed=speed))
    progress(seeds, seeds, "")
    first = [trial.first_movement_s for trial in trials if trial.first_movement_s is not None]
    return {
        "arena": arena,
        "goal": goal,
        "model": model,
        "speed": speed,
        "reached": sum(trial.reached for trial in trials),
        "runs": len(trials),
        "first_movement_s_max": max(first, default=None),
        "replays_same": sum(trial.replay_same for trial in trials),
        "trials": [{name: getattr(trial, name) for name in DriveTrial.__slots__} for trial in trials],
    }
