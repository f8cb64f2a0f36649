"""What the device says: one method a message, from the robot's parts into a frame. No heap after start-up.

Each method returns whether the frame went out (or its first part did, and the rest will); a full line drops it.
"""

from array import array
from micropython import const

import codec
import schema
import ticks
from safety import EXPIRY_MAX_MS
from schema import ACK, HELLO, LOG, SENSOR, STATUS

FIRMWARE_VERSION = b"0.1.0"
SENSOR_RATE_HZ = const(50)
WHEEL_MAX = const(80)

_SEQ_MASK = const(0xFFFF)
_AGE_MAX_MS = const(1000)
_LOG_TEXT_MAX = const(64)


class Outbox:
    def __init__(self, board, safety, odometry, monitor, receiver, sender):
        self._board = board
        self._safety = safety
        self._odometry = odometry
        self._monitor = monitor
        self._receiver = receiver
        self._sender = sender
        self._items = array("i", [0] * codec.ITEMS_MAX)
        self._board_name = board.NAME.encode()
        self._seq = 0

    def _begin(self, type_):
        """The header. Only once the sender is ready: a frame that is never made takes no sequence number."""
        items = self._items
        items[0] = type_
        items[1] = self._seq
        items[2] = self._safety.session
        items[3] = self._board.ticks_us()
        self._seq = (self._seq + 1) & _SEQ_MASK
        return items

    def _end(self, count):
        self._sender.send(codec.encode(self._items, count, self._sender.body))
        return True

    def hello(self, uptime_ms):
        if not self._sender.ready():
            return False
        board = self._board
        items = self._begin(HELLO)
        body = self._sender.body
        items[4] = schema.PROTOCOL_VERSION
        at = codec.put_items(body, codec.put_array_head(body, 1, schema.HELLO_ITEMS), items, 5)
        at = codec.put_bytes(body, at, schema.SCHEMA_HASH)
        at = codec.put_bytes(body, at, board.uid)
        items[0] = board.boot_id
        at = codec.put_items(body, at, items, 1)
        at = codec.put_text(body, at, FIRMWARE_VERSION, len(FIRMWARE_VERSION))
        at = codec.put_text(body, at, self._board_name, min(16, len(self._board_name)))
        items[0] = board.reset_cause
        items[1] = uptime_ms
        items[2] = SENSOR_RATE_HZ
        items[3] = board.geometry[2]
        items[4] = WHEEL_MAX
        items[5] = EXPIRY_MAX_MS
        items[6] = board.capabilities
        self._sender.send(codec.put_items(body, at, items, 7))
        return True

    def sensor(self, battery_mv):
        if not self._sender.ready():
            return False
        board, odometry = self._board, self._odometry
        items = self._begin(SENSOR)
        now_us = items[3]
        for i in range(8):
            range_mm = board.ranges_mm[i]
            unknown = range_mm < 0 or self._monitor.stuck >> i & 1
            items[schema.SENSOR_RANGES_MM + i] = codec.NULL if unknown else range_mm
            age_ms = ticks.diff(now_us, board.range_stamps_us[i]) // 1000
            items[schema.SENSOR_RANGE_AGES_MS + i] = max(0, min(_AGE_MAX_MS, age_ms))
        items[schema.SENSOR_X_MM] = odometry.x_mm()
        items[schema.SENSOR_Y_MM] = odometry.y_mm()
        items[schema.SENSOR_HEADING_MRAD] = odometry.heading_mrad()
        items[schema.SENSOR_LEFT_TICKS] = odometry.ticks[0]
        items[schema.SENSOR_RIGHT_TICKS] = odometry.ticks[1]
        items[schema.SENSOR_LEFT_MM_S] = odometry.left_mm_s
        items[schema.SENSOR_RIGHT_MM_S] = odometry.right_mm_s
        items[schema.SENSOR_BATTERY_MV] = codec.NULL if battery_mv < 0 else battery_mv
        items[schema.SENSOR_FLAGS] = self._monitor.flags
        return self._end(schema.SENSOR_ITEMS)

    def status(self, left_wheel, right_wheel, frames_ok, loop_overruns, loop_max_us):
        if not self._sender.ready():
            return False
        safety = self._safety
        items = self._begin(STATUS)
        items[schema.STATUS_STATE] = safety.state
        items[schema.STATUS_FAULT] = safety.fault
        items[schema.STATUS_CMD_SEQ] = safety.cmd_seq
        items[schema.STATUS_LEFT_WHEEL] = left_wheel
        items[schema.STATUS_RIGHT_WHEEL] = right_wheel
        items[schema.STATUS_FRAMES_OK] = frames_ok
        items[schema.STATUS_FRAMES_BAD] = self._receiver.frames_bad
        items[schema.STATUS_FRAMES_REFUSED] = safety.frames_refused
        items[schema.STATUS_COMMANDS_EXPIRED] = safety.commands_expired
        items[schema.STATUS_FRAMES_DROPPED] = self._sender.frames_dropped
        items[schema.STATUS_LOOP_OVERRUNS] = loop_overruns
        items[schema.STATUS_LOOP_MAX_US] = loop_max_us
        return self._end(schema.STATUS_ITEMS)

    def ack(self, of_type, of_seq, result, received_us):
        if not self._sender.ready():
            return False
        items = self._begin(ACK)
        items[schema.ACK_OF_TYPE] = of_type
        items[schema.ACK_OF_SEQ] = of_seq
        items[schema.ACK_RESULT] = result
        items[schema.ACK_RECEIVED_US] = received_us
        return self._end(schema.ACK_ITEMS)

    def log(self, level, code, text):
        """text: ASCII bytes."""
        if not self._sender.ready():
            return False
        items = self._begin(LOG)
        items[schema.LOG_LEVEL] = level
        items[schema.LOG_CODE] = code
        body = self._sender.body
        at = codec.put_items(body, codec.put_array_head(body, 1, schema.LOG_ITEMS), items, schema.LOG_ITEMS - 1)
        self._sender.send(codec.put_text(body, at, text, min(_LOG_TEXT_MAX, len(text))))
        return True
