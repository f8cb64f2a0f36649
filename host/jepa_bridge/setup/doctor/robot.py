"""What is on the port, and how good is the line to it? Listens first; the wheels are never armed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError
from jepa_bridge.link.clock import Clock
from jepa_bridge.link.compatibility import incompatibility
from jepa_bridge.link.discovery import Ear
from jepa_bridge.link.link import Link
from jepa_bridge.link.no_hello import BOOT_LOADER_MARKS, CRASH_MARKS, PROMPT_MARKS, no_hello
from jepa_bridge.link.schema import State
from jepa_bridge.setup.doctor.finding import Finding, Level, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jepa_bridge.link.stats import LinkStats
    from jepa_bridge.link.transport import Transport
    from jepa_bridge.setup.doctor.system import System

HELLO_S = 4.0  # a robot whose host has gone gives the session up after 2 s
OPENING_US = 100_000  # between the reset by the port's opening and our first look
ERRORS_WARN, ERRORS_MOST = 1e-3, 2e-2  # of the frames
SENSOR_HZ = 50
SENSORS_LEAST = 0.9
CLOCK_WARN_US = 10_000  # commands are refused beyond 25 ms


def robot(system: System, target: Target) -> Iterator[Finding]:
    """Open the port, hear what is there, hold a session for a few seconds."""
    if target.port is None or (target.device is not None and not system.path(target.device).exists()):
        return
    if target.device is not None and system.holders(target.device):
        return  # said by its own check; and opening moves the lines that reset a board
    try:
        transport = system.opener(target.port, target.baud)
    except BridgeError as error:
        if error.code not in ("port-permission", "port-busy", "port-missing"):  # their own checks say these
            yield Finding("port-failed", Level.PROBLEM, error.message, error.hint)
        return
    try:
        yield from _listen(transport, target)
    finally:
        transport.close()


def _listen(transport: Transport, target: Target) -> Iterator[Finding]:
    ear = Ear(transport, time.monotonic())
    try:
        while ear.hello is None and time.monotonic() - ear.began_s < HELLO_S:
            ear.listen()
    except BridgeError as error:
        yield Finding("port-failed", Level.PROBLEM, error.message, error.hint)
        return
    if ear.hello is None:
        yield silent(ear, target)
        return
    hello = ear.hello
    elapsed_us = (time.monotonic() - ear.began_s) * 1e6 * transport.time_scale
    booted = any(mark in ear.reader.text for mark in BOOT_LOADER_MARKS) or hello.t_us < elapsed_us + OPENING_US
    if target.device is not None and booted:
        yield Finding(
            "auto-reset", Level.WARNING, f"opening {target.port} restarted the robot: it forgets where it stands",
            "put 10 uF between EN and GND, or use a board whose reset circuit takes both DTR and RTS",
        )  # fmt: skip
    if (misfit := incompatibility(hello)) is not None:
        update = f"jepa-bridge flash --port {target.port} --board NAME"
        yield Finding(misfit.code, Level.PROBLEM, misfit.message, update)
        return
    name = f"robot {hello.uid.hex()} ({hello.board}, firmware {hello.firmware_version})"
    yield Finding("robot-ok", Level.OK, f"{name} is on {target.port}")
    yield from _session(ear, target)


def silent(ear: Ear, target: Target) -> Finding:
    """What is there instead of a robot, by what it said."""
    error = no_hello(ear.reader, str(target.port), HELLO_S)
    flash = f"jepa-bridge flash --port {target.port} --board NAME"
    text = ear.reader.text
    if any(mark in text for mark in CRASH_MARKS):
        return Finding("firmware-crashed", Level.PROBLEM, error.message, flash)
    if any(mark in text for mark in PROMPT_MARKS):
        return Finding("prompt", Level.PROBLEM, error.message, flash)
    if any(mark in text for mark in BOOT_LOADER_MARKS):
        return Finding("boot-loader", Level.PROBLEM, error.message, error.hint)
    return Finding("no-hello", Level.PROBLEM, error.message, error.hint)


def _session(ear: Ear, target: Target) -> Iterator[Finding]:
    transport = ear.hand_over()
    link = Link(transport, Clock(transport.time_scale))
    try:
        link.start()
        link.wait_ready()
        stopped = link.state is State.STOPPED
        before, began_s = link.stats(), time.monotonic()
        time.sleep(target.seconds)
        after, spent_s = link.stats(), (time.monotonic() - began_s) * transport.time_scale
        if link.error is not None:
            raise link.error
    except BridgeError as error:
        yield Finding("session-failed", Level.PROBLEM, f"[{error.code}] {error.message}", error.hint)
        return
    finally:
        link.close()
    if stopped:
        yield Finding("robot-stopped", Level.NOTE, "the robot has latched a stop; a new run clears it", "")
    yield from line_quality(before, after, spent_s)


def line_quality(before: LinkStats, after: LinkStats, spent_s: float) -> Iterator[Finding]:
    """By what the link counted in so many seconds of the robot's time."""
    good = after.frames_in - before.frames_in
    bad = max(
        after.frames_bad + after.frames_refused - before.frames_bad - before.frames_refused,
        after.missed_frames - before.missed_frames,
    )
    share = bad / max(1, good + bad)
    what = f"{bad} of {good + bad} frames were damaged or lost in {spent_s:.1f} s"
    cable = "try a shorter cable, another port, no hub"
    if share >= ERRORS_MOST:
        yield Finding("link-errors", Level.PROBLEM, what, cable)
    elif share >= ERRORS_WARN:
        yield Finding("link-errors", Level.WARNING, what, cable)
    else:
        yield Finding("link-ok", Level.OK, what)
    rate_hz = (after.sensors - before.sensors) / max(spent_s, 1e-3)
    if rate_hz < SENSORS_LEAST * SENSOR_HZ:
        yield Finding(
            "sensors-slow", Level.WARNING, f"SENSOR frames come at {rate_hz:.0f} Hz, expected {SENSOR_HZ}",
            "end what else uses this machine, and look for a sensor that blocks the robot's loop",
        )  # fmt: skip
    if after.clock_bound_us is None:
        return
    clock = f"the robot's clock is known to {after.clock_bound_us / 1000:.1f} ms, round trip {_ms(after.rtt_us)}"
    if after.clock_bound_us > CLOCK_WARN_US:
        yield Finding("clock-poor", Level.WARNING, clock, "avoid hubs and network ports; end what loads this machine")
    else:
        yield Finding("clock-ok", Level.OK, clock)


def _ms(us: int | None) -> str:
    return "unknown" if us is None else f"{us / 1000:.1f} ms"
