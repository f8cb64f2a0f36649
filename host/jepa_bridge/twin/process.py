"""The twin as a process: arena and body in real time, and the firmware itself behind a pseudo-terminal.

    python -m jepa_bridge.twin "open?seed=3"

prints one line of JSON, whose `port` opens like any serial port, and runs until its standard input closes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import sys
import time
import tty
from typing import IO, TYPE_CHECKING

from jepa_bridge.errors import BridgeError
from jepa_bridge.twin import firmware as fw
from jepa_bridge.twin.physics import Physics
from jepa_bridge.types import WHEEL_UNITS

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from jepa_bridge.twin.settings import TwinSettings

SLICE_S = 0.005  # simulated time between two body packets
TRUTH_SLICES = 4  # slices between two lines of truth: 20 ms, as SENSOR
MOTOR_SILENCE_S = 0.5  # simulated; without a motor packet for so long the H-bridge lets go
# behind its schedule by more than this, the simulation lets the lost time go: catching up in one leap would drive the
# robot blind, on the last command, through time in which the firmware could not stop it
BEHIND_MAX_S = 0.1  # wall time
# a firmware that dies so often before it has lived so long will not get better
DEATHS_MAX = 5
SHORT_LIFE_S = 1.0


class Twin:
    """One robot: its body, its arena and its firmware's current life."""

    def __init__(self, settings: TwinSettings) -> None:
        self.settings = settings
        self.arena = settings.make_arena()
        self.start_pose = settings.start or self.arena.start_pose
        self._program = fw.command(settings.firmware)
        self._physics = Physics(self.arena, randomisation=settings.randomisation(), seed=settings.seed)
        self._physics.reset(self.start_pose)
        self._pty_fd, self._host_fd = os.openpty()  # the host's end stays open here: without it reads would fail
        tty.setraw(self._host_fd)
        os.set_blocking(self._pty_fd, False)
        self.port = os.ttyname(self._host_fd)
        self._boot_id = int.from_bytes(os.urandom(4)) % fw.TIME_MODULUS
        self._deaths = 0
        self._stop = False
        self._slices = 0
        self._touched = False  # since the last line of truth
        self._truth = _open_truth(settings.truth)
        self._boot(fw.RESET_POWER_ON)

    def describe(self) -> dict[str, object]:
        """What a host may want to know, for one line of JSON."""
        return {
            "port": self.port,
            "arena": self.arena.name,
            "seed": self.arena.seed,
            "speed": self.settings.speed,
            "start_pose": self.start_pose,
            "firmware": "cpython" if self._program == [sys.executable] else "micropython",
            "pid": os.getpid(),
        }

    def run(self, *, stay: bool = False) -> None:
        """Simulate until `stop`, or until standard input closes unless `stay`."""
        slice_wall_s = SLICE_S / self.settings.speed
        due_s = time.monotonic()
        stdin_fd = sys.stdin.fileno()
        while not self._stop:
            due_s += slice_wall_s
            now_s = time.monotonic()
            if now_s - due_s > BEHIND_MAX_S:
                due_s = now_s
            self._wait_until(due_s, None if stay else stdin_fd)
            self._slice()

    def stop(self, signum: int = 0, frame: FrameType | None = None) -> None:
        """End `run` within one slice."""
        self._stop = True

    def close(self) -> None:
        """End the firmware and give the pseudo-terminal back."""
        self._firmware.kill()
        os.close(self._pty_fd)
        os.close(self._host_fd)
        if self._truth:
            self._truth.close()

    def _boot(self, reset_cause: int) -> None:
        arguments = fw.boot_arguments(
            self.start_pose,  # a robot that reboots elsewhere does not know it: the host tells it, by POSE
            speed=self.settings.speed,
            uid=hashlib.sha256(f"twin {self.arena.name} {self.arena.seed}".encode()).digest()[:6],
            boot_id=self._boot_id,
            reset_cause=reset_cause,
            settings=self.settings.settings,
        )
        self._physics.set_wheels(0.0, 0.0)
        self._ticks_at_boot = self._physics.encoder_ticks  # the counters live in the microcontroller
        self._motor_time_s = self._physics.time_s
        self._boot_time_s = time.monotonic()
        self._firmware = fw.Firmware(self._program, self._pty_fd, arguments)

    def _reboot(self) -> None:
        """The firmware ended: start its next life."""
        status = self._firmware.end()
        self._boot_id = (self._boot_id + 1) % fw.TIME_MODULUS
        if status == fw.STATUS_REBOOT:
            self._deaths = 0
            self._boot(fw.RESET_SOFTWARE)
            return
        self._deaths = self._deaths + 1 if time.monotonic() - self._boot_time_s < SHORT_LIFE_S else 1
        if self._deaths >= DEATHS_MAX:
            raise BridgeError(
                "firmware-dies",
                f"the firmware ended {self._deaths} times in a row right after its start, at last with status {status}",
                "what it printed stands above",
            )
        print(f"twin: the firmware ended with status {status}; it is started again", file=sys.stderr, flush=True)  # noqa: T201
        self._boot(fw.RESET_WATCHDOG)  # on the robot a program that stopped is what the watchdog sees

    def _wait_until(self, due_s: float, stdin_fd: int | None) -> None:
        """Take motor packets as they come, until it is time for the next slice."""
        while not self._stop:
            watched = [self._firmware.motor_fd] if stdin_fd is None else [self._firmware.motor_fd, stdin_fd]
            ready, _, _ = select.select(watched, [], [], max(0.0, due_s - time.monotonic()))
            if not ready:
                return
            if stdin_fd in ready and not os.read(stdin_fd, 4096):
                self._stop = True
            if self._firmware.motor_fd in ready:
                self._receive_motors()
            if time.monotonic() >= due_s:
                return

    def _receive_motors(self) -> None:
        try:
            wheels = self._firmware.receive()
        except EOFError:
            self._reboot()
            return
        if wheels is not None:
            self._motor_time_s = self._physics.time_s
            self._physics.set_wheels(wheels[0] / WHEEL_UNITS, wheels[1] / WHEEL_UNITS)

    def _slice(self) -> None:
        physics = self._physics
        if physics.time_s - self._motor_time_s > MOTOR_SILENCE_S:
            physics.set_wheels(0.0, 0.0)
        physics.advance(SLICE_S)
        contact = physics.in_contact
        left, right = physics.encoder_ticks
        packet = fw.pack_body(
            round(physics.time_s * 1e6),
            physics.ranges_m().tolist(),
            (left - self._ticks_at_boot[0], right - self._ticks_at_boot[1]),
            bump=contact and self.settings.bump,
        )
        self._firmware.send(packet)
        self._slices += 1
        self._touched = self._touched or contact
        if self._truth and self._slices % TRUTH_SLICES == 0:
            self._write_truth(self._truth)

    def _write_truth(self, file: IO[str]) -> None:
        """One line: what a host must not know while it drives, for measuring it afterwards."""
        x_m, y_m, heading_rad = self._physics.true_pose
        left_m_s, right_m_s = self._physics.wheel_speeds_m_s
        line = {
            "t_s": round(self._physics.time_s, 6),  # simulated
            "monotonic_s": round(time.monotonic(), 6),  # this machine's clock, shared by all its processes
            "x_m": round(x_m, 5),
            "y_m": round(y_m, 5),
            "heading_rad": round(heading_rad, 5),
            "left_m_s": round(left_m_s, 4),
            "right_m_s": round(right_m_s, 4),
            "contact": self._touched,  # at some moment since the last line
        }
        file.write(json.dumps(line) + "\n")
        file.flush()
        self._touched = False


def _open_truth(path: Path | None) -> IO[str] | None:
    try:
        return path.open("w", encoding="utf-8") if path else None
    except OSError as error:
        raise BridgeError("truth-file", f"cannot write the truth to {path}: {error.strerror}") from error


def serve(settings: TwinSettings, *, link: Path | None = None, stay: bool = False) -> None:
    """Run one twin in this process: print its JSON line, simulate, leave nothing behind."""
    link = link.absolute() if link else None
    if link and (link.exists() or link.is_symlink()) and not link.is_symlink():
        raise BridgeError("link-exists", f"{link} exists and is no symbolic link", "choose another name for --link")
    os.chdir(fw.folder())  # a child started by posix_spawn inherits it
    twin = Twin(settings)
    try:
        signal.signal(signal.SIGTERM, twin.stop)
        signal.signal(signal.SIGINT, twin.stop)
        if link:
            link.unlink(missing_ok=True)
            link.symlink_to(twin.port)
        print(json.dumps(twin.describe()), flush=True)  # noqa: T201 - the one line of output
        twin.run(stay=stay)
    finally:
        twin.close()
        if link:
            with contextlib.suppress(OSError):
                if link.is_symlink() and str(link.readlink()) == twin.port:
                    link.unlink()
