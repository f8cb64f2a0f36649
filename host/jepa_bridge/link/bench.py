"""Measures the link: decoding speed, the delay from a sensor frame to a command, and lost frames.

    jepa-bridge bench link --json

`decode_rate` needs nothing but this package. `delay` and `loss` talk to a robot, by default the twin with the real
firmware (`sim://open?seed=1`), and arm it: put a real robot on blocks, its wheels turn.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cbor2

from jepa_bridge.errors import BridgeError
from jepa_bridge.link.clock import Clock
from jepa_bridge.link.codec import body_of_payload, decode, decode_payload, frame_of
from jepa_bridge.link.frame import FrameReader
from jepa_bridge.link.link import Link
from jepa_bridge.link.schema import Cmd, Message, Sensor, State, Status
from jepa_bridge.link.transport import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable

TWIN = "sim://open?seed=1"
FRAMES = 256  # different ones, so that no cache learns one by heart
COMMAND_PERIOD_US = 50_000
SETTLE_S = 0.5  # two STATUS periods: the robot's own counts after the last command


@dataclass(frozen=True, slots=True)
class DecodeRate:
    """SENSOR frames a second of CPU time on one core, beside cbor2 alone on the same bodies in the same run."""

    frames_per_s: float  # bytes from the port to a checked dataclass: COBS, CRC, CBOR, bounds
    cbor2_loads_per_s: float  # cbor2.loads of the body, nothing else
    cost_ratio: float  # how many times cbor2.loads' time a whole frame takes


@dataclass(frozen=True, slots=True)
class Delay:
    """From the return of the read that completed a SENSOR frame to the return of the write of a command for it."""

    samples: int
    p50_us: int
    p99_us: int
    max_us: int


@dataclass(frozen=True, slots=True)
class Loss:
    """Frames that were sent and did not arrive, each way, with sensors at 50 Hz and commands at 20 Hz."""

    seconds: float
    from_robot: int  # frames that came
    from_robot_lost: int
    to_robot: int  # frames written
    to_robot_lost: int
    bad: int  # damaged frames, both ways
    dropped: int  # that the robot could not send because the line was full
    commands_expired: int  # refused by the robot because they came too late


def sensors(count: int) -> list[Sensor]:
    """SENSOR messages as a driving robot sends them: every field at its usual size."""
    return [
        Sensor(
            i % 65536,
            123_456_789,
            (i * 20_000) % (1 << 30),
            tuple(None if (i + j) % 31 == 0 else 100 + (137 * i + 211 * j) % 1900 for j in range(8)),
            tuple((i + 5 * j) % 40 for j in range(8)),
            2500 + i,
            1800 - i,
            (i * 29) % 6000 - 3000,
            40_000 + 13 * i,
            39_000 + 11 * i,
            (7 * i) % 500,
            -((5 * i) % 500),
            7400 - i % 100,
            i % 2,
        )
        for i in range(count)
    ]


def decode_rate(seconds: float = 2.0) -> DecodeRate:
    """Decode for about `seconds` of CPU time; the two sides take turns, so a change of clock speed meets both."""
    frames = [frame_of(sensor) for sensor in sensors(FRAMES)]
    bodies = [body_of_payload(payload) for frame in frames for payload in FrameReader().feed(frame)]
    reader = FrameReader()

    def whole() -> None:
        for frame in frames:
            for payload in reader.feed(frame):
                decode_payload(payload)

    def cbor_alone() -> None:
        for body in bodies:
            cbor2.loads(body)

    spent = {whole: 0.0, cbor_alone: 0.0}
    rounds = 0
    while sum(spent.values()) < seconds:
        for side in spent:
            start = time.process_time()
            side()
            spent[side] += time.process_time() - start
        rounds += 1
    count = rounds * FRAMES
    return DecodeRate(
        round(count / spent[whole]), round(count / spent[cbor_alone]), round(spent[whole] / spent[cbor_alone], 2)
    )


class _Armed:
    """A link to an armed robot, commands flowing from where the caller says."""

    def __init__(self, port: str, baud: int) -> None:
        self.on_sensor: Callable[[Sensor, int, int], None] = lambda *_: None
        self.on_written: Callable[[Message, int], None] = lambda *_: None
        self.on_status: Callable[[Status], None] = lambda _: None
        transport = open_transport(port, baud)
        self.clock = Clock(transport.time_scale)
        self.link = Link(transport, self.clock, self._sensor, on_frame=self._frame, on_message=self._message)

    def __enter__(self) -> _Armed:
        self.link.start()
        try:
            self.link.wait_ready()
            if self.link.state is State.STOPPED:
                self.link.clear()
            self.link.arm()
        except BridgeError:
            self.link.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def _sensor(self, sensor: Sensor, t_us: int, device_us: int) -> None:
        self.on_sensor(sensor, t_us, device_us)

    def _frame(self, direction: str, body: bytes, t_us: int) -> None:
        if direction == "host":
            self.on_written(decode(body), t_us)

    def _message(self, message: Message, _t_us: int) -> None:
        if isinstance(message, Status):
            self.on_status(message)


def delay(seconds: float = 20.0, port: str = TWIN, baud: int = 115200) -> Delay:
    """Answer every SENSOR with a command at once, without planning, for `seconds`."""
    came_us: dict[int, int] = {}  # the command's seq -> when its SENSOR came
    delays_us: list[int] = []
    with _Armed(port, baud) as armed:

        def on_sensor(_sensor: Sensor, t_us: int, _device_us: int) -> None:
            command = armed.link.command(0, 0)
            if command is not None:
                came_us[command.seq] = t_us

        def on_written(message: Message, t_us: int) -> None:
            if isinstance(message, Cmd):
                began_us = came_us.pop(message.seq, None)
                if began_us is not None:
                    delays_us.append(t_us - began_us)

        armed.on_sensor, armed.on_written = on_sensor, on_written
        _run(armed, seconds, lambda: None)
    ordered = sorted(delays_us)
    if not ordered:
        raise BridgeError("no-sensors", f"no SENSOR frame was answered within {seconds:g} s")
    return Delay(len(ordered), ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1])


def loss(seconds: float = 60.0, port: str = TWIN, baud: int = 115200) -> Loss:
    """Count lost frames for `seconds`: gaps in the robot's numbers, and frames written that its own count lacks."""
    with _Armed(port, baud) as armed:
        link = armed.link
        missing: list[int] = []  # frames written before a STATUS came, less frames that it counts
        armed.on_status = lambda status: missing.append(link.stats().frames_out - status.frames_ok)
        before, began = link.stats(), time.monotonic()
        due_us = armed.clock.now_us()

        def command() -> None:
            nonlocal due_us
            if armed.clock.now_us() >= due_us:
                due_us += COMMAND_PERIOD_US
                link.command(0, 0)

        _run(armed, seconds, command)
        spent_s = time.monotonic() - began
        missing.clear()
        _run(armed, SETTLE_S, lambda: None)
        after, status = link.stats(), link.status
        if status is None or not missing:
            raise BridgeError("no-status", "the robot's STATUS did not come")
        return Loss(
            round(spent_s, 1),
            after.frames_in - before.frames_in,
            after.missed_frames - before.missed_frames,
            after.frames_out,
            max(0, min(missing)),  # a STATUS may have crossed a frame on its way; the least is what stays lost
            after.frames_bad - before.frames_bad + status.frames_bad,
            status.frames_dropped,
            status.commands_expired,
        )


def _run(armed: _Armed, seconds: float, step: Callable[[], None]) -> None:
    """Call `step` every 5 ms for `seconds` of real time; a link that ends raises."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        step()
        if armed.link.error is not None:
            raise armed.link.error
        time.sleep(0.005)
