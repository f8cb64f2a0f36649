"""A robot to break, a line to it, and a host that drives it: what every case starts from.

with Rig() as rig:
    rig.drive()                        # at full speed, through rig.proxy
    began_s = rig.proxy.cut()
    print(rig.stopped_after_ms(began_s))
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from jepa_bridge.errors import BridgeError
from jepa_bridge.link import Clock, Link, open_transport
from jepa_bridge.link.chaos import Way
from jepa_bridge.link.codec import decode_payload
from jepa_bridge.link.frame import FrameError, FrameReader
from jepa_bridge.link.proxy import Proxy
from jepa_bridge.link.schema import Log, Sensor, State, Status
from jepa_bridge.types import WHEEL_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jepa_bridge.link import Transport
    from jepa_bridge.link.chaos import Faults
    from jepa_bridge.link.schema import Message

COMMAND_PERIOD_S = 0.05
START_TIMEOUT_S = 10.0


_LATENESS = threading.local()


def lateness() -> list[float]:
    """Of the rigs that this thread was done with: how many ms late the machine woke a process, each at worst."""
    if not hasattr(_LATENESS, "ms"):
        _LATENESS.ms = []
    found: list[float] = _LATENESS.ms
    return found


class Broken(Exception):  # noqa: N818 - what a case found, not an error of the program
    """The robot or the host did not do what the case requires."""


def require(holds: object, what: str) -> None:
    """Raise `Broken` unless it holds."""
    if not holds:
        raise Broken(what)


def wait_for(holds: Callable[[], object], what: str, timeout_s: float = 5.0) -> None:
    """Until it holds; `Broken` if that takes too long."""
    end_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end_s:
            raise Broken(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.002)


class BrokenRobot:
    """The process of `robot.py`, and what it said so far."""

    def __init__(self, **keys: object) -> None:
        self.events: list[dict[str, Any]] = []
        self.outputs: list[tuple[float, int, int]] = [(0.0, 0, 0)]  # (monotonic s, left, right), at each change
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jepa_bridge.faults.robot", *(f"{key}={value}" for key, value in keys.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._thread = threading.Thread(target=self._read, name="broken-robot", daemon=True)
        self._thread.start()
        wait_for(lambda: self._said("port"), "the robot's port", START_TIMEOUT_S)
        self.port: str = self._said("port")[0]["port"]

    def tell(self, **command: object) -> float:
        """Have something happen to it; when it had, monotonic s."""
        assert self._process.stdin is not None
        (key,) = command
        before = len(self._said("did"))
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        wait_for(lambda: len(self._said("did")) > before, f"the robot's {key}")
        return float(self._said("did")[-1]["t"])

    @property
    def boots(self) -> list[dict[str, Any]]:
        """Every start of the firmware."""
        return self._said("boot")

    @property
    def firmware_pid(self) -> int:
        """Of the process that runs the firmware now."""
        return int(self.boots[-1]["pid"])

    def late_ms(self, since_s: float) -> float:
        """How late the machine woke a process since then at worst: what no stop time can be better than."""
        return max((event["late_ms"] for event in self._said("late_ms") if event["t"] > since_s), default=0.0)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(2)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _said(self, key: str) -> list[dict[str, Any]]:
        return [event for event in list(self.events) if key in event]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if "left" in event:
                self.outputs.append((event["t"], event["left"], event["right"]))
            self.events.append(event)


class Counter:
    """Valid frames by type in a stream of bytes."""

    def __init__(self) -> None:
        self.frames: dict[str, int] = {}
        self._reader = FrameReader()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        for payload in self._reader.feed(data):
            with contextlib.suppress(FrameError):
                name = type(decode_payload(payload)).__name__
                self.frames[name] = self.frames.get(name, 0) + 1

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.frames.values())


class Rig:
    """Robot, proxy and host. The host commands full speed ahead, 20 times a second."""

    def __init__(self, faults: Faults | None = None, *, symlink: Path | None = None, **keys: object) -> None:
        self.sensors: list[tuple[float, Sensor]] = []
        self.statuses: list[Status] = []
        self.logs: list[Log] = []
        self.lost: list[BridgeError] = []
        self.written_s = 0.0  # when the last command was given out
        self.commands = 0
        self.period_s = COMMAND_PERIOD_S
        self.wheels = (WHEEL_UNITS, WHEEL_UNITS)
        self.sent = {way: Counter() for way in Way}
        self.delivered = {way: Counter() for way in Way}
        self.on_sent: Callable[[bytes], None] = lambda _: None  # what the host wrote
        self._ready_s = math.inf  # from when on lateness counts: starting processes is work for the machine
        self._late_ms = 0.0  # of the host
        self._silent = threading.Event()
        self._ended = threading.Event()
        self._link: Link | None = None
        self._thread: threading.Thread | None = None
        self.robot = BrokenRobot(**keys)
        try:
            self._behind = open_transport(self.robot.port)
        except BaseException:
            self.robot.close()
            raise
        assert self._behind.fileno is not None
        self.proxy = Proxy(
            self._behind.fileno,
            faults,
            symlink=symlink,
            on_sent=self._sent,
            on_delivered=lambda way, data: self.delivered[way].feed(data),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        lateness().append(max(self._late_ms, self.robot.late_ms(self._ready_s)))
        self._ended.set()
        self._silent.set()
        if self._thread is not None:
            self._thread.join(2)
        if self._link is not None:
            self._link.close()
        self.proxy.close()
        self._behind.close()
        self.robot.close()

    # ---- the host ----

    @property
    def link(self) -> Link:
        """The host's link, once there is one."""
        assert self._link is not None
        return self._link

    def connect(self, *, reopen: bool = False) -> Link:
        """A host on the proxy's port, with an open session."""
        self._link = link = Link(
            self.open(), Clock(), self._on_sensor, on_message=self._on_message,
            on_lost=self.lost.append, reopen=self.open if reopen else None,
        )  # fmt: skip
        link.start()
        link.wait_ready(10.0)
        return link

    def open(self) -> Transport:
        """The proxy's port, as it is called now."""
        return open_transport(self.proxy.path or "/dev/unplugged")

    def drive(self, *, reopen: bool = False, moving: bool = True) -> None:
        """Connect, arm, and command full speed until `silence`; returns at full speed."""
        link = self._link or self.connect(reopen=reopen)
        link.arm(5.0)
        self._thread = threading.Thread(target=self._command, name="host", daemon=True)
        self._thread.start()
        if moving:
            self.wait_full_speed()

    def wait_full_speed(self, timeout_s: float = 5.0) -> None:
        """Until the wheels' output is what is commanded."""
        wait_for(lambda: self.robot.outputs[-1][1:] == self.wheels, "full speed", timeout_s)
        self._ready_s = min(self._ready_s, time.monotonic())

    def silence(self) -> float:
        """The host commands nothing any more; when it last did, monotonic s."""
        self._silent.set()
        time.sleep(2 * COMMAND_PERIOD_S / 10)
        return self.written_s

    def speak(self) -> None:
        """Command again."""
        self._silent.clear()

    def _command(self) -> None:
        while not self._ended.is_set():
            if not self._silent.is_set():
                with contextlib.suppress(BridgeError):
                    if self.link.command(*self.wheels) is not None:
                        self.commands += 1
                        self.written_s = time.monotonic()
            due_s = time.monotonic() + self.period_s
            time.sleep(self.period_s)
            if self._ready_s < due_s:
                self._late_ms = max(self._late_ms, (time.monotonic() - due_s) * 1000)

    # ---- for hosts that misbehave: what the link would put into a frame now ----

    def next_seq(self) -> int:
        """A sequence number that nothing was sent with."""
        with self.link._changed:
            return self.link._session._next_seq()

    def session_now(self) -> int:
        """The open session's number."""
        return self.link._session.session

    def clock_now(self) -> int:
        """The robot's clock, as the host knows it."""
        return self.link._session.clock.device_now(self.link.clock.now_us())

    def _sent(self, way: Way, data: bytes) -> None:
        self.sent[way].feed(data)
        if way is Way.ROBOT:
            self.on_sent(data)

    def _on_sensor(self, sensor: Sensor, _t_us: int, _device_us: int) -> None:
        self.sensors.append((time.monotonic(), sensor))

    def _on_message(self, message: Message, _t_us: int) -> None:
        if isinstance(message, Status):
            self.statuses.append(message)
        elif isinstance(message, Log):
            self.logs.append(message)

    # ---- what is measured ----

    def stopped_after_ms(self, since_s: float, *, within_s: float = 1.0, quiet_s: float = 0.3) -> float:
        """From `since_s` to the wheels' output of zero that nothing followed for `quiet_s`."""
        wait_for(
            lambda: time.monotonic() > since_s + within_s or self._at_rest_for(quiet_s), "rest", within_s + quiet_s + 5
        )
        outputs = list(self.robot.outputs)
        require(outputs[-1][1:] == (0, 0), f"the wheels still turn after {within_s:g} s: {outputs[-1][1:]}")
        return max(0.0, (outputs[-1][0] - since_s) * 1000)

    def _at_rest_for(self, quiet_s: float) -> bool:
        last = self.robot.outputs[-1]
        return last[1:] == (0, 0) and time.monotonic() - last[0] > quiet_s

    def stays_at_rest(self, for_s: float, what: str) -> None:
        """Nothing moves the wheels for so long."""
        count = len(self.robot.outputs)
        require(self.robot.outputs[-1][1:] == (0, 0), f"{what}: the wheels turn")
        time.sleep(for_s)
        require(len(self.robot.outputs) == count, f"{what}: the wheels moved, {self.robot.outputs[count:]}")

    def status(self, timeout_s: float = 2.0) -> Status:
        """The robot's next STATUS."""
        count = len(self.statuses)
        wait_for(lambda: len(self.statuses) > count, "STATUS", timeout_s)
        return self.statuses[-1]

    def wait_state(self, state: State, timeout_s: float = 2.0) -> None:
        """Until the robot says that it is in this state."""
        wait_for(lambda: self.link.state is state, f"state {state.name.lower()}", timeout_s)
