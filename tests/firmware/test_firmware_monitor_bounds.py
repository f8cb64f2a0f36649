"""The monitor's flags and conditions, each at its bound: after how many calls of 20 ms it comes, and what resets it."""

import pytest

NONE, MOTOR, BATTERY, RANGES, RUNAWAY, STALL = 0, 4, 5, 6, 7, 8
BUMP_FLAG, STALL_FLAG, LOW_FLAG, FAULT_FLAG, STUCK_FLAG = 1, 2, 4, 8, 16
RANGE_MAX_MM = 2000
SOON = 300  # calls after which nothing more is expected to come


class Robot:
    """A sound robot whose range sensors all give new values at every call, and a monitor that looks at it."""

    def __init__(self):
        from monitor import Monitor

        self.monitor = Monitor(6800, 6200, RANGE_MAX_MM)
        self.ranges_mm = [500] * 8
        self.range_stamps_us = [0] * 8
        self.fixed = {}  # sensor -> what it gives at every call
        self.left_mm_s = self.right_mm_s = 0
        self.left = self.right = 0
        self.battery_mv = 7400
        self.bumped = self.driver = 0
        self.calls = 0

    def bump(self):
        return self.bumped

    def motor_fault(self):
        return self.driver

    def look(self, **changes):
        """One call; its condition."""
        self.__dict__.update(changes)
        self.calls += 1
        for i in range(8):
            self.ranges_mm[i] = self.fixed.get(i, 500 + (self.calls + i) % 7)
            self.range_stamps_us[i] = self.calls
        return self.monitor.update(self, self, self.left, self.right, self.battery_mv)

    def calls_until(self, condition=NONE, flag=0, **changes):
        """The number of the call, from now, that first shows it; None if it does not come soon."""
        for call in range(1, SOON):
            seen = self.look(**changes)
            assert seen in (NONE, condition)
            if seen == condition != NONE or self.monitor.flags & flag:
                return call
        return None


@pytest.fixture
def robot():
    return Robot()


def holds_and_resets(calls, good, bad, **what):
    """It comes at that call; one good call before starts the count again, and one after ends it."""
    robot = Robot()
    assert robot.calls_until(**what, **bad) == calls
    robot.look(**good)
    assert robot.calls_until(**what, **bad) == calls
    robot.look(**good)
    for _ in range(calls - 1):
        robot.look(**bad)
    robot.look(**good)
    assert robot.calls_until(**what, **bad) == calls


def test_a_sound_robot_shows_nothing(robot):
    assert robot.monitor.flags == robot.monitor.stuck == 0
    assert {robot.look(left=30, right=30, left_mm_s=200, right_mm_s=200) for _ in range(SOON)} == {NONE}
    assert robot.monitor.flags == 0


def test_bump_and_motor_driver_are_shown_at_once(robot):
    for bumped, flags in ((1, BUMP_FLAG), (0, 0), (-1, 0)):
        assert robot.look(bumped=bumped) == NONE
        assert robot.monitor.flags == flags
    assert robot.look(driver=1) == MOTOR
    assert robot.look(driver=0) == NONE


@pytest.mark.parametrize("sensor", range(8))
def test_a_missing_sensor_is_flagged_after_half_a_second(sensor):
    holds_and_resets(25, {"fixed": {}}, {"fixed": {sensor: -1}}, flag=FAULT_FLAG)
    assert Robot().calls_until(flag=FAULT_FLAG, fixed={sensor: 0}) is None, "0 mm is a reading"


def test_all_sensors_lost_stop_after_a_second():
    gone = dict.fromkeys(range(8), -1)
    holds_and_resets(50, {"fixed": {}}, {"fixed": gone}, condition=RANGES)
    for sensor in range(8):
        left = {i: -1 for i in range(8) if i != sensor}
        assert Robot().calls_until(condition=RANGES, fixed=left) is None


def test_an_empty_battery_stops_after_two_seconds():
    holds_and_resets(100, {"battery_mv": 6200}, {"battery_mv": 6199}, condition=BATTERY)
    assert Robot().calls_until(condition=BATTERY, battery_mv=0) == 100
    for battery_mv in (6200, -1):
        assert Robot().calls_until(condition=BATTERY, battery_mv=battery_mv) is None


@pytest.mark.parametrize(("battery_mv", "low"), [(6800, 0), (6799, LOW_FLAG), (0, LOW_FLAG), (-1, 0)])
def test_a_low_battery_is_flagged_at_once(robot, battery_mv, low):
    assert robot.look(battery_mv=battery_mv) == NONE
    assert robot.monitor.flags == low


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("output", [25, -25])
@pytest.mark.parametrize("speed_mm_s", [9, 0, -9])
def test_a_wheel_that_is_held_is_flagged_and_then_stops(side, output, speed_mm_s):
    other = {"left": "right", "right": "left"}[side]
    sound = {f"{other}": 30, f"{other}_mm_s": 100}
    held = {side: output, f"{side}_mm_s": speed_mm_s, **sound}
    moves = {**held, f"{side}_mm_s": 10 if output > 0 else -10}
    holds_and_resets(25, moves, held, flag=STALL_FLAG)
    holds_and_resets(100, moves, held, condition=STALL)
    for changes in (moves, {**held, side: 24 if output > 0 else -24}):
        assert Robot().calls_until(condition=STALL, flag=STALL_FLAG, **changes) is None


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("speed_mm_s", [151, -151])
def test_a_wheel_that_turns_undriven_stops_once_it_had_time_to_roll_out(side, speed_mm_s):
    def robot():
        return Robot()

    turning = {f"{side}_mm_s": speed_mm_s, "left": 0, "right": 0}
    assert robot().calls_until(condition=RUNAWAY, **turning) == 40 + 10
    assert robot().calls_until(condition=RUNAWAY, **{**turning, f"{side}_mm_s": speed_mm_s // 151 * 150}) is None
    # at rest long enough, ten calls are enough; and one slow call starts them again
    rested = robot()
    for _ in range(60):
        rested.look()
    assert rested.calls_until(condition=RUNAWAY, **turning) == 10
    rested.look(**{f"{side}_mm_s": 0})
    for _ in range(9):
        assert rested.look(**turning) == NONE
    rested.look(**{f"{side}_mm_s": 0})
    assert rested.calls_until(condition=RUNAWAY, **turning) == 10
    # either wheel's output means that the robot is being driven
    for driven in ("left", "right"):
        one = robot()
        for _ in range(60):
            one.look()
        assert one.look(**{driven: speed_mm_s // 151}) == NONE
        assert one.calls_until(condition=RUNAWAY, **turning) == 50


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("output", [1, -1])
def test_a_wheel_that_turns_against_its_output_stops_after_a_second(side, output):
    other = {"left": "right", "right": "left"}[side]
    sound = {other: 20, f"{other}_mm_s": 100}
    against = {side: output, f"{side}_mm_s": -151 * output, **sound}
    along = {**against, f"{side}_mm_s": 151 * output}
    holds_and_resets(50, along, against, condition=RUNAWAY)
    for changes in (along, {**against, f"{side}_mm_s": -150 * output}, {**against, side: 0}):
        assert Robot().calls_until(condition=RUNAWAY, **changes) is None


MOVES = {"left_mm_s": 51, "right_mm_s": 51, "left": 20, "right": 20}


@pytest.mark.parametrize("sensor", range(8))
@pytest.mark.parametrize("range_mm", [100, 1999])
def test_a_sensor_that_gives_one_value_is_stuck_after_50_more(sensor, range_mm):
    robot = Robot()
    assert robot.calls_until(flag=STUCK_FLAG, fixed={sensor: range_mm}, **MOVES) == 51
    assert robot.monitor.stuck == 1 << sensor
    for _ in range(100):
        robot.look()
    assert robot.monitor.flags == STUCK_FLAG
    robot.look(fixed={sensor: range_mm + 1 if range_mm == 100 else 1000})
    assert (robot.monitor.flags, robot.monitor.stuck) == (0, 0), "another value, and it is believed again"
    assert robot.calls_until(flag=STUCK_FLAG) == 50


def test_two_stuck_sensors_are_both_told():
    robot = Robot()
    assert robot.calls_until(flag=STUCK_FLAG, fixed={0: 300, 7: 400}, **MOVES) == 51
    assert robot.monitor.stuck == 0x81


@pytest.mark.parametrize("range_mm", [-1, 0, 99, RANGE_MAX_MM, RANGE_MAX_MM + 1])
def test_a_value_at_an_end_may_stay(range_mm):
    assert Robot().calls_until(flag=STUCK_FLAG, fixed={3: range_mm}, **MOVES) is None


@pytest.mark.parametrize(("left_mm_s", "right_mm_s", "moving"), [(51, 0, 1), (0, -51, 1), (-51, 0, 1), (50, -50, 0)])
def test_a_robot_at_rest_may_see_the_same_again(left_mm_s, right_mm_s, moving):
    seen = Robot().calls_until(flag=STUCK_FLAG, fixed={3: 500}, left_mm_s=left_mm_s, right_mm_s=right_mm_s, left=9)
    assert seen == (51 if moving else None)


def test_where_nothing_changes_no_sensor_is_stuck():
    assert Robot().calls_until(flag=STUCK_FLAG, fixed=dict.fromkeys(range(8), 500), **MOVES) is None
    robot = Robot()
    for _ in range(30):
        robot.look(fixed={3: 500}, **MOVES)
    assert robot.calls_until(flag=STUCK_FLAG, fixed=dict.fromkeys(range(8), 500)) is None


def test_the_last_sensors_change_counts_like_any():
    fixed = dict.fromkeys(range(7), 500)
    robot = Robot()
    assert robot.calls_until(flag=STUCK_FLAG, fixed=fixed, **MOVES) == 51
    assert robot.monitor.stuck == 0x7F


def test_the_count_of_changes_stays_a_small_int():
    robot = Robot()
    robot.monitor._changes = 0xFFFC
    robot.look(**MOVES)
    assert robot.monitor._changes == 4
    assert robot.calls_until(flag=STUCK_FLAG, fixed={3: 500}) == 51


def test_only_new_readings_count():
    """A slow sensor: its value stays because it did not look again."""

    robot = Robot()
    robot.range_stamps_us = Stamps(4)
    assert robot.calls_until(flag=STUCK_FLAG, fixed={3: 500}, **MOVES) == 1 + 4 * 50


class Stamps(list):
    """Stamps that change at every nth call only."""

    def __init__(self, every):
        super().__init__([0] * 8)
        self.every = every

    def __setitem__(self, i, value):
        super().__setitem__(i, (value + self.every - 1) // self.every)
