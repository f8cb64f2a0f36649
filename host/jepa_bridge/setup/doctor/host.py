"""Is this computer up to it: plans in time, room for logs, power, packages?"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_bridge.setup.doctor.finding import Finding, Level, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jepa_bridge.setup.doctor.system import System

# 50 Hz of SENSOR, commands, plans and what is derived from them: about this much in half a day of driving
DISK_LOW_BYTES = 1_000_000_000
DISK_FULL_BYTES = 50_000_000
# bits of the Raspberry Pi firmware's get_throttled: now, and (16 higher) since boot
THROTTLED = ("lacks voltage", "runs below its clock", "is throttled", "is near its limit of temperature")
EXTRAS = (
    ("sim", ("mujoco",), "the twin (sim://)"),
    ("train", ("mujoco", "torch", "onnx", "matplotlib"), "training"),
)


def inference(system: System, target: Target) -> Iterator[Finding]:
    """Real plans, in a process of their own: a runtime that crashes must not take the doctor with it."""
    command = [sys.executable, "-m", "jepa_bridge.setup.doctor.inference", target.model]
    ran = system.run(command)
    try:
        told = json.loads(ran.output.splitlines()[-1]) if ran is not None and ran.status == 0 else {}
        p99_ms, least_ms = float(told["p99_ms"]), float(told["one_iteration_p99_ms"])
        deadline_ms, device = float(told["deadline_ms"]), str(told["device"])
    except (KeyError, ValueError, IndexError, TypeError):
        why = "it did not end" if ran is None else ((ran.errors or ran.output).strip().splitlines() or ["nothing"])[-1]
        yield Finding(
            "inference-failed", Level.PROBLEM, f"no plan could be made with the model {target.model}: {why}",
            f"{Path(sys.executable).name} -m jepa_bridge.setup.doctor.inference {target.model}",
        )  # fmt: skip
        return
    says = f"a plan takes {p99_ms:.0f} ms (p99) on {device}, the deadline is {deadline_ms:.0f} ms"
    if p99_ms <= deadline_ms:
        yield Finding("inference-ok", Level.OK, says)
    elif least_ms <= deadline_ms:
        yield Finding(
            "inference-slow", Level.WARNING, f"{says}: it will search less", "jepa-bridge --sampling fast ..."
        )
    else:
        yield Finding(
            "inference-too-slow", Level.PROBLEM, f"{says}; one iteration alone takes {least_ms:.0f} ms",
            "jepa-bridge --model tiny ..., and end what else uses this machine",
        )  # fmt: skip


def disk(system: System, target: Target) -> Iterator[Finding]:
    """Room for logs where they will go."""
    folder = Path(target.log_dir)
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding(
            "log-unwritable", Level.PROBLEM, f"logs cannot be written to {folder}: {there} is not writable",
            "jepa-bridge --log FOLDER ..., or --no-log",
        )  # fmt: skip
        return
    free = system.free_bytes(there)
    says = f"{free / 1e9:.1f} GB are free for logs in {folder}"
    if free < DISK_FULL_BYTES:
        yield Finding("disk-full", Level.PROBLEM, says, f"du -sh {folder}; then delete what you do not need")
    elif free < DISK_LOW_BYTES:
        yield Finding("disk-low", Level.WARNING, says, f"du -sh {folder}; then delete what you do not need")
    else:
        yield Finding("disk-ok", Level.OK, says)


def power(system: System, _: Target) -> Iterator[Finding]:
    """A Raspberry Pi on a weak supply slows down, and its USB ports brown out."""
    model = system.read("/proc/device-tree/model") or ""
    if "Raspberry Pi" not in model:
        return
    ran = system.run(["vcgencmd", "get_throttled"])
    text = ran.output.strip() if ran is not None and ran.status == 0 else ""
    if not text:
        text = system.read("/sys/devices/platform/soc/soc:firmware/get_throttled") or ""
    try:
        bits = int(text.rpartition("=")[2], 16)
    except ValueError:
        return
    now = [what for bit, what in enumerate(THROTTLED) if bits >> bit & 1]
    before = [what for bit, what in enumerate(THROTTLED) if bits >> (16 + bit) & 1]
    supply = "use a supply for this model, a short cable and a fan; then: vcgencmd get_throttled"
    if now:
        yield Finding("throttled", Level.WARNING, f"the {model} {', '.join(now)} now", supply)
    elif before:
        yield Finding("throttled-before", Level.NOTE, f"since it booted, the {model} once {', '.join(before)}", supply)
    else:
        yield Finding("power-ok", Level.OK, f"the {model} has the power and cooling it needs")


def extras(system: System, _: Target) -> Iterator[Finding]:
    """Optional packages: none is needed to drive."""
    for extra, packages, use in EXTRAS:
        missing = [package for package in packages if not system.installed(package)]
        if missing:
            yield Finding(
                "extra-missing", Level.NOTE, f"{use} needs {', '.join(missing)}, which is not installed",
                f"pip install 'jepa-bridge[{extra}]'",
            )  # fmt: skip
