"""What the robot knows of its own health: SENSOR's flags, and the conditions that stop it. Integers only, no I/O."""

from micropython import const

from schema import (
    FAULT_BATTERY_EMPTY, FAULT_MOTOR_DRIVER, FAULT_NONE, FAULT_RANGE_SENSORS_LOST, FAULT_WHEEL_RUNAWAY,
    SENSOR_FLAG_BATTERY_LOW, SENSOR_FLAG_BUMP, SENSOR_FLAG_RANGE_FAULT, SENSOR_FLAG_WHEEL_STALL,
)

# in calls of update(), which come every 20 ms
_BATTERY_EMPTY_CALLS = const(100)  # 2 s: the voltage dips when motors start
_RANGES_LOST_CALLS = const(50)  # 1 s without any sensor
_RANGE_FAULT_CALLS = const(25)  # 0.5 s without one
_STALL_CALLS = const(25)
_RUNAWAY_SETTLE_CALLS = const(40)  # 0.8 s for a robot at full speed to come to rest
_RUNAWAY_CALLS = const(10)

_STALL_WHEEL_UNITS = const(25)  # below that, friction may hold a sound wheel
_STALL_MM_S = const(10)
_RUNAWAY_MM_S = const(150)


class Monitor:
    def __init__(self, battery_low_mv, battery_empty_mv):
        self.flags = 0
        self._battery_low_mv = battery_low_mv
        self._battery_empty_mv = battery_empty_mv
        self._battery_empty = 0
        self._ranges_lost = 0
        self._range_fault = 0
        self._stall_left = 0
        self._stall_right = 0
        self._undriven = 0
        self._runaway = 0

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

        flags = SENSOR_FLAG_BUMP if board.bump() == 1 else 0
        if self._stall_left >= _STALL_CALLS or self._stall_right >= _STALL_CALLS:
            flags |= SENSOR_FLAG_WHEEL_STALL
        if 0 <= battery_mv < self._battery_low_mv:
            flags |= SENSOR_FLAG_BATTERY_LOW
        if self._range_fault >= _RANGE_FAULT_CALLS:
            flags |= SENSOR_FLAG_RANGE_FAULT
        self.flags = flags

        if board.motor_fault():
            return FAULT_MOTOR_DRIVER
        if self._runaway >= _RUNAWAY_CALLS:
            return FAULT_WHEEL_RUNAWAY
        if self._battery_empty >= _BATTERY_EMPTY_CALLS:
            return FAULT_BATTERY_EMPTY
        if self._ranges_lost >= _RANGES_LOST_CALLS:
            return FAULT_RANGE_SENSORS_LOST
        return FAULT_NONE


def stalls(wheel, speed_mm_s):
    """Whether the wheel is driven hard enough to turn, and does not."""
    return abs(wheel) >= _STALL_WHEEL_UNITS and abs(speed_mm_s) < _STALL_MM_S
