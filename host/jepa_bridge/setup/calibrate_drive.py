"""Moving a robot for its calibration, by the rules of every drive: armed by a person, commands that expire, a stop.

Times are the robot's own, so that a fast twin is measured as a slow one.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link import Clock, Link
from jepa_bridge.link.schema import SensorFlag, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.link import Transport
    from jepa_bridge.link.schema import Sensor

COMMAND_EVERY_S = 0.05
SILENCE_S = 0.6  # of SENSOR, in real time: the drive is given up
REST_TIMEOUT_S = 4.0
REST_SPEED_MM_S = 5


class CalibrationDrive:
    """A robot that does what it is told for a moment, and is asked what it sensed."""

    def __init__(self, transport: Transport) -> None:
        self.link = Link(transport, Clock(transport.time_scale), on_sensor=self._take)
        self._command_every_s = COMMAND_EVERY_S / max(1.0, transport.time_scale)
        self._news = threading.Condition()
        self._sensor: Sensor | None = None
        self._device_us = 0

    def connect(self) -> str:
        """Open a session; the robot's uid."""
        self.link.start()
        return self.link.wait_ready().uid.hex()

    def arm(self) -> None:
        """Allow movement; only after a person's word."""
        if self.link.state is State.STOPPED:
            self.link.clear()
        self.link.arm()

    def close(self) -> None:
        """Stop and leave; never raises."""
        self.link.close()

    def sense(self) -> tuple[Sensor, int]:
        """The next SENSOR and the robot's time. Raises `link-lost`."""
        with self._news:
            before = self._sensor
            if not self._news.wait_for(lambda: self._sensor is not before, SILENCE_S) or self._sensor is None:
                raise BridgeError(
                    "link-lost", "no sensor readings come any more", "look at cable and power", status=Exit.LINK_LOST
                )
            return self._sensor, self._device_us

    def hold(self, left: float, right: float, duration_s: float) -> tuple[list[Sensor], list[int]]:
        """Wheel units for a time; the readings of it and the robot's time of each."""
        seen: list[Sensor] = []
        times: list[int] = []

        def go_on(sensor: Sensor, t_us: int) -> tuple[float, float] | None:
            seen.append(sensor)
            times.append(t_us)
            return (left, right) if t_us - times[0] < duration_s * 1e6 else None

        self.drive(go_on)
        return seen, times

    def drive(self, steer: Callable[[Sensor, int], tuple[float, float] | None]) -> None:
        """Ask `steer` for wheel units at each reading, until it says None. The robot is left to roll out.

        Raises `calibration-bump`, `calibration-stopped`, and what the link raises; the wheels are off then.
        """
        sent_s = 0.0
        try:
            while True:
                sensor, t_us = self.sense()
                if sensor.flags & SensorFlag.BUMP:
                    raise BridgeError(
                        "calibration-bump",
                        "the robot touched something",
                        "give it more room",
                        status=Exit.ROBOT_REFUSED,
                    )
                wheels = steer(sensor, t_us)
                if wheels is None:
                    return
                if time.monotonic() - sent_s >= self._command_every_s:
                    sent_s = time.monotonic()
                    if self.link.command(*(max(-80, min(80, round(units))) for units in wheels)) is None:
                        raise self._stopped()
        finally:
            self.link.command(0, 0)

    def rest(self) -> Sensor:
        """Wait until the wheels stand; what was sensed then."""
        end_s = time.monotonic() + REST_TIMEOUT_S
        still = 0
        while time.monotonic() < end_s:
            sensor, _ = self.sense()
            slow = abs(sensor.left_mm_s) < REST_SPEED_MM_S and abs(sensor.right_mm_s) < REST_SPEED_MM_S
            still = still + 1 if slow else 0
            if still >= 10:
                return sensor
        raise self._stopped()

    def _take(self, sensor: Sensor, _host_us: int, device_us: int) -> None:
        with self._news:
            self._sensor = sensor
            self._device_us = device_us
            self._news.notify_all()

    def _stopped(self) -> BridgeError:
        status = self.link.status
        fault = status.fault if status is not None else None
        return BridgeError(
            "calibration-stopped",
            f"the robot does not follow: state {self.link.state!r}, fault {fault!r}",
            "look at what stopped it (battery, a wheel that is held, sensors), then start again",
            status=Exit.ROBOT_REFUSED,
        )
