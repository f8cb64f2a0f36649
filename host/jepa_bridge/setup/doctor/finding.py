"""What a check found: a stable code, one sentence, one thing to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    NOTE = "note"  # nothing to do unless you want that
    WARNING = "warning"  # it drives, but worse
    PROBLEM = "problem"  # it does not drive


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `do`: a command, or where no command helps, what to do by hand; "" for nothing."""

    code: str
    level: Level
    sentence: str
    do: str = ""
    fix: Callable[[], object] | None = field(default=None, compare=False, repr=False)  # safe; raises OSError


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be looked at."""

    port: str | None = None  # None: the only candidate
    baud: int = 115200
    model: str = "small"
    log_dir: str = "logs"
    seconds: float = 3.0  # of listening to the robot

    @property
    def device(self) -> str | None:
        """The port if it is a device, and no URL."""
        return None if self.port is None or "://" in self.port else self.port


# every code that a check may give, with its title; the troubleshooting page goes by them
CODES = {
    "port-ok": "the port is there",
    "port-none": "no adapter of a robot is on USB",
    "port-missing": "the port that was named is not there",
    "ports-several": "more than one adapter is there",
    "adapter-without-driver": "the adapter is on USB but has no port",
    "permission-ok": "this user may open the port",
    "permission": "this user may not open the port",
    "permission-login": "the user is in the group, but logged in before",
    "port-held": "another program holds the port",
    "brltty": "brltty takes CH340 and CP2102 adapters for braille displays",
    "modem-manager": "ModemManager talks to new ports",
    "ftdi-latency": "the FTDI adapter collects bytes for too long",
    "port-failed": "the port cannot be opened",
    "prompt": "a MicroPython prompt is on the port",
    "boot-loader": "the ESP32 is in its boot loader, or restarts",
    "firmware-crashed": "a program on the robot crashed",
    "no-hello": "no robot says HELLO",
    "auto-reset": "opening the port restarts the robot",
    "robot-ok": "a robot with fitting firmware is there",
    "incompatible-protocol": "the firmware speaks another protocol version",
    "incompatible-schema": "the firmware is of another release",
    "session-failed": "the robot does not open a session",
    "link-ok": "the line is clean",
    "link-errors": "frames are damaged or lost",
    "sensors-slow": "SENSOR frames come too seldom",
    "clock-ok": "the robot's clock is known well",
    "clock-poor": "the robot's clock is not known well",
    "robot-stopped": "the robot has latched a stop",
    "inference-ok": "plans are on time",
    "inference-slow": "plans take longer than half a step",
    "inference-too-slow": "not even the shortest plan is on time",
    "inference-failed": "no plan could be made",
    "disk-ok": "there is room for logs",
    "disk-low": "room for logs runs out",
    "disk-full": "there is no room for logs",
    "log-unwritable": "the folder for logs cannot be written",
    "throttled": "this Raspberry Pi is slowed down or lacks voltage",
    "throttled-before": "this Raspberry Pi lacked voltage or was too hot before",
    "power-ok": "this Raspberry Pi's supply is good",
    "extra-missing": "an optional package is not installed",
    "check-failed": "a check itself failed",
}
