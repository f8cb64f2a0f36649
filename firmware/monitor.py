"""What the robot knows of its own health: SENSOR's flags, and the conditions that stop it. Integers only, no I/O."""

from array import array

from micropython import const

from schema import (
    FAULT_BATTERY_EMPTY, FAULT_MOTOR_DRIVER, FAULT_NONE, FAULT_RANGE_SENSORS_LOST, FAULT_WHEEL_RUNAWAY,
    FAULT_WHEEL_STALL, SENSOR_FLAG_BATTERY_LOW, SENSOR_FLAG_BUMP, SENSOR_FLAG_RANGE_FAULT, SENSOR_FLAG_RANGE_STUCK,
    SENSOR_FLAG_WHEEL_STALL,
)

# in calls of update(), which come every 20 ms
_BATTERY_EMPTY_CALLS = const(100)  # 2 s: the voltage dips when motors start
_RANGES_LOST_CALLS = const(50)  # 1 s without any sensor
_RANGE_FAULT_CALLS = const(25)  # 0.5 s without one
_STALL_CALLS = const(25)
_STALL_STOP_CALLS = const(100)  # 2 s: a motor that is held burns
_RUNAWAY_SETTLE_CALLS = const(40)  # 0.8 s for a robot at full speed to come to rest
_RUNAWAY_CALLS = const(10)
_OPPOSED_CALLS = const(50)  # 1 s of turning against the output; a reversal at full speed takes less than half of it

_STALL_WHEEL_UNITS = const(25)  # below that, friction may hold a sound wheel
_STALL_MM_S = const(10)
_RUNAWAY_MM_S = const(150)

# A sensor that gives one value while the robot moves and others change. Told in its own readings, because some come
# at 50 Hz and some at 4. At its end of range, or nearer than this, a sound one may, and a stuck one errs on the safe side.
_STUCK_READINGS = const(50)
_STUCK_MIN_MM = const(100)
_MOVING_MM_S = const(50)


class Monitor:
    def __init__(self, battery_low_mv, battery_empty_mv, range_max_mm=10000):
        self.flags = 0
        self.stuck = 0  # bit i: range sensor i is not to be believed
        self._range_max_mm = range_max_mm
        self._battery_low_mv = battery_low_mv
        self._battery_empty_mv = battery_empty_mv
        self._battery_empty = 0
        self._ranges_lost = 0
        self._range_fault = 0
        self._stall_left = 0
        self._stall_right = 0
        self._undriven = 0
        self._runaway = 0
        self._opposed = 0
        self._last_mm = array("i", [-1] * 8)
        self._last_us = array("i", [0] * 8)
        self._same = array("i", [0] * 8)  # readings of one value that should have changed
        self._changes = 0  # of any sensor
        self._changes_then = array("i", [0] * 8)  # at each sensor's last reading

    def update(self, board, odometry, left_wheel, right_wheel, battery_mv):
        """Look once; set `flags` and return the condition: a fault that is there now, or FAULT_NONE."""
        missing = 0
        for i in range(8):
            if board.ranges_mm[i] < 0:
                missing += 1
        self._range_fault = self._range_fault + 1 if missing else 0
        self._ranges_lost = self._ranges_lost + 1 if missing == 8 else 0

        self._battery_empty = self._battery_empty + 1 if 0 <= battery_mv < self._battery_empty_mv else 0

        self._stall_left = self._stall_left + 1 if stalls(left_wheel, odometry.left_mm_s) else 0
        self._stall_right = self._stall_right + 1 if stalls(right_wheel, odometry.right_mm_s) else 0

        self._undriven = 0 if left_wheel or right_wheel else self._undriven + 1
        fast = abs(odometry.left_mm_s) > _RUNAWAY_MM_S or abs(odometry.right_mm_s) > _RUNAWAY_MM_S
        self._runaway = self._runaway + 1 if fast and self._undriven > _RUNAWAY_SETTLE_CALLS else 0

        opposed = opposes(left_wheel, odometry.left_mm_s) or opposes(right_wheel, odometry.right_mm_s)
        self._opposed = self._opposed + 1 if opposed else 0

        self._look_for_stuck(
            board, abs(odometry.left_mm_s) > _MOVING_MM_S or abs(odometry.right_mm_s) > _MOVING_MM_S
        )

        flags = SENSOR_FLAG_BUMP if board.bump() == 1 else 0
        if self._stall_left >= _STALL_CALLS or self._stall_right >= _STALL_CALLS:
            flags |= SENSOR_FLAG_WHEEL_STALL
        if 0 <= battery_mv < self._battery_low_mv:
            flags |= SENSOR_FLAG_BATTERY_LOW
        if self._range_fault >= _RANGE_FAULT_CALLS:
            flags |= SENSOR_FLAG_RANGE_FAULT
        if self.stuck:
            flags |= SENSOR_FLAG_RANGE_STUCK
        self.flags = flags

        if board.motor_fault():
            return FAULT_MOTOR_DRIVER
        if self._runaway >= _RUNAWAY_CALLS or self._opposed >= _OPPOSED_CALLS:
            return FAULT_WHEEL_RUNAWAY
        if self._stall_left >= _STALL_STOP_CALLS or self._stall_right >= _STALL_STOP_CALLS:
            return FAULT_WHEEL_STALL
        if self._battery_empty >= _BATTERY_EMPTY_CALLS:
            return FAULT_BATTERY_EMPTY
        if self._ranges_lost >= _RANGES_LOST_CALLS:
            return FAULT_RANGE_SENSORS_LOST
        return FAULT_NONE

    def _look_for_stuck(self, board, moving):
        for i in range(8):
            if board.ranges_mm[i] != self._last_mm[i]:
                self._changes = (self._changes + 1) & 0xFFFF
        stuck = 0
        for i in range(8):
            range_mm = board.ranges_mm[i]
            if range_mm != self._last_mm[i] or not _STUCK_MIN_MM <= range_mm < self._range_max_mm:
                self._last_mm[i] = range_mm
                self._same[i] = 0
            elif board.range_stamps_us[i] != self._last_us[i] and moving and self._changes != self._changes_then[i]:
                self._same[i] = min(_STUCK_READINGS, self._same[i] + 1)
            if board.range_stamps_us[i] != self._last_us[i]:
                self._last_us[i] = board.range_stamps_us[i]
                self._changes_then[i] = self._changes
            if self._same[i] >= _STUCK_READINGS:
                stuck |= 1 << i
        self.stuck = stuck


def opposes(wheel, speed_mm_s):
    """Whether the wheel turns fast against what it is driven to."""
    return abs(speed_mm_s) > _RUNAWAY_MM_S and (wheel > 0 and speed_mm_s < 0 or wheel < 0 and speed_mm_s > 0)


def stalls(wheel, speed_mm_s):
    """Whether the wheel is driven hard enough to turn, and does not."""
    return abs(wheel) >= _STALL_WHEEL_UNITS and abs(speed_mm_s) < _STALL_MM_S
