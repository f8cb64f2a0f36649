"""Messages of the wire. Generated from protocol/bridge.cddl by protocol/generate.py: do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

SCHEMA_HASH = bytes.fromhex("c292d2b1")
PROTOCOL_VERSION = 1
FRAME_MAGIC = 177
FRAME_MAX_BYTES = 128


class SensorFlag(IntEnum):
    """Values of `sensor_flag` on the wire."""

    BUMP = 1
    WHEEL_STALL = 2
    BATTERY_LOW = 4
    RANGE_FAULT = 8
    RANGE_STUCK = 16


class Capability(IntEnum):
    """Values of `capability` on the wire."""

    BUMP_SENSOR = 1
    BATTERY_SENSOR = 2
    HARDWARE_WATCHDOG = 4


class State(IntEnum):
    """Values of `state` on the wire."""

    BOOT = 0
    IDLE = 1
    OPEN = 2
    ARMED = 3
    DRIVING = 4
    STOPPED = 5


class Fault(IntEnum):
    """Values of `fault` on the wire."""

    NONE = 0
    HOST_STOP = 1
    SESSION_LOST = 2
    LOOP_EXCEPTION = 3
    MOTOR_DRIVER = 4
    BATTERY_EMPTY = 5
    RANGE_SENSORS_LOST = 6
    WHEEL_RUNAWAY = 7
    WHEEL_STALL = 8


class ResetCause(IntEnum):
    """Values of `reset_cause` on the wire."""

    UNKNOWN = 0
    POWER_ON = 1
    EXTERNAL = 2
    SOFTWARE = 3
    WATCHDOG = 4
    BROWNOUT = 5
    DEEP_SLEEP = 6


class Result(IntEnum):
    """Values of `result` on the wire."""

    OK = 0
    WRONG_STATE = 1
    WRONG_SESSION = 2
    WRONG_VERSION = 3
    FAULT_PRESENT = 4
    OUT_OF_RANGE = 5


class StopReason(IntEnum):
    """Values of `stop_reason` on the wire."""

    OPERATOR = 0
    HOST_EXIT = 1
    LINK_DEGRADED = 2
    PLANNER_LATE = 3
    HOST_ERROR = 4


class Level(IntEnum):
    """Values of `level` on the wire."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


class LogCode(IntEnum):
    """Values of `log_code` on the wire."""

    STARTED = 0
    TEXT = 1
    SESSION_OPENED = 2
    SESSION_LOST = 3
    STOPPED = 4
    COMMAND_REFUSED = 5
    EXCEPTION = 6
    FRAME_INVALID = 7


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `low`..`high` bounds an integer, or the length of a string."""

    name: str
    kind: str
    low: int
    high: int
    nullable: bool
    count: int


@dataclass(frozen=True, slots=True)
class Hello:
    """HELLO, sent by the robot; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 1

    seq: int
    session: int
    t_us: int
    protocol_version: int
    schema_hash: bytes
    uid: bytes
    boot_id: int
    firmware_version: str
    board: str
    reset_cause: ResetCause
    uptime_ms: int
    sensor_rate_hz: int
    range_max_mm: int
    wheel_max: int
    expiry_max_ms: int
    capabilities: int


@dataclass(frozen=True, slots=True)
class Sensor:
    """SENSOR, sent by the robot; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 2

    seq: int
    session: int
    t_us: int
    ranges_mm: tuple[int | None, ...]
    range_ages_ms: tuple[int, ...]
    x_mm: int
    y_mm: int
    heading_mrad: int
    left_ticks: int
    right_ticks: int
    left_mm_s: int
    right_mm_s: int
    battery_mv: int | None
    flags: int


@dataclass(frozen=True, slots=True)
class Status:
    """STATUS, sent by the robot; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 3

    seq: int
    session: int
    t_us: int
    state: State
    fault: Fault
    cmd_seq: int
    left_wheel: int
    right_wheel: int
    frames_ok: int
    frames_bad: int
    frames_refused: int
    commands_expired: int
    frames_dropped: int
    loop_overruns: int
    loop_max_us: int


@dataclass(frozen=True, slots=True)
class Ack:
    """ACK, sent by the robot; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 4

    seq: int
    session: int
    t_us: int
    of_type: int
    of_seq: int
    result: Result
    received_us: int


@dataclass(frozen=True, slots=True)
class Log:
    """LOG, sent by the robot; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 5

    seq: int
    session: int
    t_us: int
    level: Level
    code: LogCode
    text: str


@dataclass(frozen=True, slots=True)
class Open:
    """OPEN, sent by the host; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 16

    seq: int
    session: int
    t_us: int
    protocol_version: int


@dataclass(frozen=True, slots=True)
class TimeSync:
    """TIME_SYNC, sent by the host; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 17

    seq: int
    session: int
    t_us: int


@dataclass(frozen=True, slots=True)
class Arm:
    """ARM, sent by the host; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 18

    seq: int
    session: int
    t_us: int


@dataclass(frozen=True, slots=True)
class Cmd:
    """CMD, sent by the host; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 19

    seq: int
    session: int
    t_us: int
    left_wheel: int
    right_wheel: int
    expires_us: int


@dataclass(frozen=True, slots=True)
class Stop:
    """STOP, sent by the host; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 20

    seq: int
    session: int
    t_us: int
    reason: StopReason


@dataclass(frozen=True, slots=True)
class Clear:
    """CLEAR, sent by the host; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 21

    seq: int
    session: int
    t_us: int


@dataclass(frozen=True, slots=True)
class Reboot:
    """REBOOT, sent by the host; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 22

    seq: int
    session: int
    t_us: int


@dataclass(frozen=True, slots=True)
class Pose:
    """POSE, sent by the host; see protocol/PROTOCOL.md."""

    TYPE: ClassVar[int] = 23

    seq: int
    session: int
    t_us: int
    x_mm: int
    y_mm: int
    heading_mrad: int


DeviceMessage = Hello | Sensor | Status | Ack | Log
HostMessage = Open | TimeSync | Arm | Cmd | Stop | Clear | Reboot | Pose
Message = DeviceMessage | HostMessage

MESSAGES: dict[int, type[Message]] = {
    1: Hello,
    2: Sensor,
    3: Status,
    4: Ack,
    5: Log,
    16: Open,
    17: TimeSync,
    18: Arm,
    19: Cmd,
    20: Stop,
    21: Clear,
    22: Reboot,
    23: Pose,
}

FIELDS: dict[int, tuple[Field, ...]] = {
    1: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
        Field("protocol_version", "int", 1, 255, False, 1),
        Field("schema_hash", "bytes", 4, 4, False, 1),
        Field("uid", "bytes", 4, 16, False, 1),
        Field("boot_id", "int", 0, 1073741823, False, 1),
        Field("firmware_version", "text", 1, 16, False, 1),
        Field("board", "text", 1, 16, False, 1),
        Field("reset_cause", "int", 0, 6, False, 1),
        Field("uptime_ms", "int", 0, 1073741823, False, 1),
        Field("sensor_rate_hz", "int", 1, 1000, False, 1),
        Field("range_max_mm", "int", 1, 10000, False, 1),
        Field("wheel_max", "int", 1, 100, False, 1),
        Field("expiry_max_ms", "int", 1, 10000, False, 1),
        Field("capabilities", "int", 0, 255, False, 1),
    ),
    2: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
        Field("ranges_mm", "int", 0, 10000, True, 8),
        Field("range_ages_ms", "int", 0, 1000, False, 8),
        Field("x_mm", "int", -1073741823, 1073741823, False, 1),
        Field("y_mm", "int", -1073741823, 1073741823, False, 1),
        Field("heading_mrad", "int", -3142, 3142, False, 1),
        Field("left_ticks", "int", -1073741823, 1073741823, False, 1),
        Field("right_ticks", "int", -1073741823, 1073741823, False, 1),
        Field("left_mm_s", "int", -10000, 10000, False, 1),
        Field("right_mm_s", "int", -10000, 10000, False, 1),
        Field("battery_mv", "int", 0, 60000, True, 1),
        Field("flags", "int", 0, 255, False, 1),
    ),
    3: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
        Field("state", "int", 0, 5, False, 1),
        Field("fault", "int", 0, 8, False, 1),
        Field("cmd_seq", "int", 0, 65535, False, 1),
        Field("left_wheel", "int", -80, 80, False, 1),
        Field("right_wheel", "int", -80, 80, False, 1),
        Field("frames_ok", "int", 0, 1073741823, False, 1),
        Field("frames_bad", "int", 0, 1073741823, False, 1),
        Field("frames_refused", "int", 0, 1073741823, False, 1),
        Field("commands_expired", "int", 0, 1073741823, False, 1),
        Field("frames_dropped", "int", 0, 1073741823, False, 1),
        Field("loop_overruns", "int", 0, 1073741823, False, 1),
        Field("loop_max_us", "int", 0, 1073741823, False, 1),
    ),
    4: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
        Field("of_type", "int", 1, 23, False, 1),
        Field("of_seq", "int", 0, 65535, False, 1),
        Field("result", "int", 0, 5, False, 1),
        Field("received_us", "int", 0, 1073741823, False, 1),
    ),
    5: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
        Field("level", "int", 0, 3, False, 1),
        Field("code", "int", 0, 7, False, 1),
        Field("text", "text", 0, 64, False, 1),
    ),
    16: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
        Field("protocol_version", "int", 1, 255, False, 1),
    ),
    17: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
    ),
    18: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
    ),
    19: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
        Field("left_wheel", "int", -80, 80, False, 1),
        Field("right_wheel", "int", -80, 80, False, 1),
        Field("expires_us", "int", 0, 1073741823, False, 1),
    ),
    20: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
        Field("reason", "int", 0, 4, False, 1),
    ),
    21: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
    ),
    22: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
    ),
    23: (
        Field("seq", "int", 0, 65535, False, 1),
        Field("session", "int", 0, 1073741823, False, 1),
        Field("t_us", "int", 0, 1073741823, False, 1),
        Field("x_mm", "int", -1073741823, 1073741823, False, 1),
        Field("y_mm", "int", -1073741823, 1073741823, False, 1),
        Field("heading_mrad", "int", -3142, 3142, False, 1),
    ),
}
