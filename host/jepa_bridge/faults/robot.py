"""A robot to break: the real firmware on a pty, and a plain body that fails on command.

    python -m jepa_bridge.faults.robot ticks_start=1070000000

Prints its port as the first JSON line, then one line for each event; reads one JSON object a line. It has no physics
to speak of, so that its clock is good: what it says of the wheels' output is stamped within a millisecond.

| it reads | meaning |
|---|---|
| `{"ranges": [mm or null, ... 8]}` | readings from now on; `null` for all: its own, which change as it moves |
| `{"stuck": {"3": 700}}` | these sensors give this value |
| `{"gain": [left, right]}` | wheel speed is this times what the output asks for |
| `{"push": m_s}` | something turns the wheels |
| `{"inject": 1}` | the firmware's loop raises while this is set; 2: it hangs |
| `{"reset": cause}` | the microcontroller is reset: motors off, and it boots again |

| it prints | meaning |
|---|---|
| `t`, `left`, `right` | wheels' output, when it changed; the driver's pull-downs make it 0 while nothing runs |
| `t`, `boot`, `boot_id`, `pid` | the firmware was started, with this reset cause |
| `t`, `late_ms` | 20 times a second: how late this process was woken at worst |
"""

from __future__ import annotations

import json
import math
import os
import select
import sys
import time
import tty

from jepa_bridge.twin import firmware as fw
from jepa_bridge.twin import robot
from jepa_bridge.types import WHEEL_UNITS

STEP_S = 0.005
MOTOR_LAG_S = 0.1
FULL_SPEED_M_S = 0.5
BEAT_STEPS = 10
WATCHDOG_S = 1.0  # the hardware's, which this process stands for: the loop sends its output at least every 100 ms
BOOT_S = 0.2  # an ESP32 takes longer; not measured on hardware
START_POSE = (1.0, 1.0, math.radians(45))
UID = bytes.fromhex("6661756c7473")


class Robot:
    """Body and microcontroller."""

    def __init__(self, keys: dict[str, str]) -> None:
        self._keys = keys
        self._program = fw.command(None)
        self._pty_fd, self._host_fd = os.openpty()
        tty.setraw(self._host_fd)
        os.set_blocking(self._pty_fd, False)
        self.port = os.ttyname(self._host_fd)
        self._start_s = time.monotonic()
        self._ranges: list[int | None] | None = None
        self._stuck: dict[int, int] = {}
        self._gain = [1.0, 1.0]
        self._push_m_s = 0.0
        self._inject = 0
        self._output = (0, 0)
        self._speeds_m_s = [0.0, 0.0]
        self._ways_m = [0.0, 0.0]
        self._boot_id = int.from_bytes(os.urandom(3))
        self._firmware: fw.Firmware | None = None
        self._boot_due: tuple[float, int] | None = None  # (when, reset cause)
        self._heard_s = 0.0
        self._boot(fw.RESET_POWER_ON)

    def run(self) -> None:
        """Until standard input closes."""
        due_s, late_s, step = time.monotonic(), 0.0, 0
        commands = b""
        while True:
            firmware = self._firmware
            watched = [0] if firmware is None else [0, firmware.motor_fd]
            ready, _, _ = select.select(watched, [], [], max(0.0, due_s - time.monotonic()))
            if 0 in ready:
                data = os.read(0, 4096)
                if not data:
                    return
                *lines, commands = (commands + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
            if firmware is not None and firmware is self._firmware and firmware.motor_fd in ready:
                self._receive(firmware)
            now_s = time.monotonic()
            if now_s < due_s:
                continue
            late_s = max(late_s, now_s - due_s)
            due_s = max(due_s + STEP_S, now_s - 20 * STEP_S)
            self._step()
            step += 1
            if step % BEAT_STEPS == 0:
                say(late_ms=round(late_s * 1000, 1))
                late_s = 0.0

    def close(self) -> None:
        """Leave nothing behind."""
        if self._firmware is not None:
            self._firmware.kill()

    def _obey(self, command: dict[str, object]) -> None:
        for key, value in command.items():
            if key == "ranges":
                self._ranges = value  # type: ignore[assignment]
            elif key == "stuck":
                self._stuck = {int(index): int(mm) for index, mm in value.items()}  # type: ignore[attr-defined]
            elif key == "gain":
                self._gain = list(value)  # type: ignore[call-overload]
            elif key == "push":
                self._push_m_s = float(value)  # type: ignore[arg-type]
            elif key == "inject":
                self._inject = int(value)  # type: ignore[call-overload]
            elif key == "reset":
                self._reset(int(value))  # type: ignore[call-overload]
            say(did=key)

    def _boot(self, cause: int) -> None:
        self._boot_id += 1
        arguments = fw.boot_arguments(
            START_POSE, speed=1.0, uid=bytes.fromhex(self._keys.get("uid", UID.hex())), boot_id=self._boot_id,
            reset_cause=cause,
        )  # fmt: skip
        if "ticks_start" in self._keys:
            arguments["ticks_start"] = self._keys["ticks_start"]
        self._firmware = fw.Firmware(self._program, self._pty_fd, arguments)
        self._heard_s = time.monotonic()
        say(boot=cause, boot_id=self._boot_id, pid=self._firmware.pid)

    def _reset(self, cause: int) -> None:
        """The output goes with the microcontroller: its pins float, and the driver's pull-downs win."""
        self._inject = 0
        if self._firmware is not None:
            self._firmware.kill()
        self._firmware = None
        self._show((0, 0))
        self._boot_due = time.monotonic() + BOOT_S, cause

    def _receive(self, firmware: fw.Firmware) -> None:
        try:
            output = firmware.receive()
        except EOFError:
            cause = fw.RESET_SOFTWARE if firmware.end() == fw.STATUS_REBOOT else fw.RESET_WATCHDOG
            self._reset(cause)
            return
        if output is not None:
            self._heard_s = time.monotonic()
            self._show(output)

    def _show(self, output: tuple[int, int]) -> None:
        if output != self._output:
            self._output = output
            say(left=output[0], right=output[1])

    def _step(self) -> None:
        now_s = time.monotonic()
        if self._boot_due is not None and now_s >= self._boot_due[0]:
            cause = self._boot_due[1]
            self._boot_due = None
            self._boot(cause)
        if self._firmware is not None and now_s - self._heard_s > WATCHDOG_S:
            self._reset(fw.RESET_WATCHDOG)
        for side in (0, 1):
            wanted = self._gain[side] * self._output[side] / WHEEL_UNITS * FULL_SPEED_M_S + self._push_m_s
            self._speeds_m_s[side] += (wanted - self._speeds_m_s[side]) * STEP_S / MOTOR_LAG_S
            self._ways_m[side] += self._speeds_m_s[side] * STEP_S
        if self._firmware is None:
            return
        ticks = (round(self._ways_m[0] * robot.TICKS_PER_METRE), round(self._ways_m[1] * robot.TICKS_PER_METRE))
        ranges_m = [math.nan if mm is None else mm / 1000 for mm in self._readings()]
        time_us = round((now_s - self._start_s) * 1e6)
        packet = fw.pack_body(time_us, ranges_m, ticks, bump=False)
        self._firmware.send(packet[:-1] + bytes([self._inject]))

    def _readings(self) -> list[int | None]:
        way_m = (abs(self._ways_m[0]) + abs(self._ways_m[1])) / 2
        readings: list[int | None] = [round(1500 + 300 * math.sin(3 * way_m + i)) for i in range(8)]
        if self._ranges is not None:
            readings = list(self._ranges)
        for index, value in self._stuck.items():
            readings[index] = value
        return readings


def say(**values: object) -> None:
    """One line."""
    line = json.dumps({"t": round(time.monotonic(), 6), **values}) + "\n"
    os.write(1, line.encode())


def main() -> None:
    """Run until standard input closes."""
    os.chdir(fw.folder())
    broken = Robot(dict(argument.split("=", 1) for argument in sys.argv[1:]))
    try:
        say(port=broken.port)
        broken.run()
    finally:
        broken.close()


if __name__ == "__main__":
    main()
