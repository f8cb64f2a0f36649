"""Ramp, sine, odometry and monitor, against plain float arithmetic."""

import math
import random

import pytest

PERIOD = 1 << 30


@pytest.mark.parametrize("step_us", [500, 2000, 7000, 20000])
@pytest.mark.parametrize("full", [80, -80])
def test_the_ramp_takes_full_speed_to_zero_within_100_ms(step_us, full):
    from ramp import Ramp

    ramp = Ramp()
    ramp.step(full, 100_000)
    assert ramp.output() == full
    outputs = []
    while ramp.output():
        outputs.append(abs(ramp.step(0, step_us)))
    assert outputs == sorted(outputs, reverse=True), "never up again"
    assert len(outputs) * step_us <= 100_000
    assert len(outputs) * step_us >= 60_000, "and no jerk"


def test_the_ramp_limits_every_change_alike():
    from ramp import Ramp

    draw = random.Random(3)
    ramp = Ramp()
    before = 0
    for _ in range(5000):
        elapsed_us = draw.randrange(0, 3000)
        after = ramp.step(draw.randint(-80, 80), elapsed_us)
        assert abs(after - before) <= elapsed_us / 1000 + 1
        assert -80 <= after <= 80
        before = after


def test_the_ramp_arrives_and_cut_is_at_once():
    from ramp import Ramp

    ramp = Ramp()
    for _ in range(200):
        ramp.step(-37, 1000)
    assert ramp.output() == -37
    assert ramp.step(80, PERIOD - 1) == 63, "a stalled loop takes one long step, not a leap beyond"
    ramp.cut()
    assert ramp.output() == 0
    assert ramp.step(0, 1000) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_the_ramp_moves_a_thousandth_of_a_unit_each_microsecond_and_rounds_towards_zero(sign):
    from ramp import Ramp

    for cut in (False, True):
        ramp = Ramp()
        if cut:
            ramp.step(sign * 80, 50_000)
            ramp.cut()
        assert [ramp.step(sign * 80, us) for us in (0, 1, 998, 1, 999, 1)] == [0, 0, 0, sign, sign, 2 * sign]
        assert ramp.step(sign * 80, 77_999) == sign * 79
        assert ramp.step(sign * 80, 1) == sign * 80
        assert ramp.step(sign * 80, 1) == sign * 80
        assert [ramp.step(0, us) for us in (1, 78_999, 999, 1)] == [sign * 79, sign, 0, 0]


def test_a_stalled_loop_takes_one_step_of_100_ms():
    from ramp import Ramp

    for stall_us in (100_000, 100_001, PERIOD - 1):
        ramp = Ramp()
        ramp.step(-80, 80_000)
        assert ramp.step(80, stall_us) == 20
        assert ramp.step(80, 59_999) == 79
        assert ramp.step(80, 1) == 80


def test_sine_is_within_6e_6():
    import sine

    draw = random.Random(4)
    phases = [0, 1, sine.TURN // 4 - 1, sine.TURN // 4, sine.TURN // 2, 3 * sine.TURN // 4, sine.TURN - 1]
    phases += [draw.randrange(sine.TURN) for _ in range(20000)]
    for phase in phases:
        angle = 2 * math.pi * phase / sine.TURN
        assert abs(sine.sine(phase) / sine.ONE - math.sin(angle)) < 6e-6
        assert abs(sine.cosine(phase) / sine.ONE - math.cos(angle)) < 6e-6


class FloatOdometry:
    """A differential drive on exact arcs, in floats."""

    def __init__(self, track_m, ticks_per_metre, pose):
        self.track_m, self.ticks_per_metre = track_m, ticks_per_metre
        self.x, self.y, self.heading = pose

    def move(self, left, right):
        left_m, right_m = left / self.ticks_per_metre, right / self.ticks_per_metre
        turn = (right_m - left_m) / self.track_m
        middle = self.heading + turn / 2
        chord = (left_m + right_m) / 2 * (math.sin(turn / 2) / (turn / 2) if turn else 1)
        self.x += chord * math.cos(middle)
        self.y += chord * math.sin(middle)
        self.heading += turn


def angle_between(a, b):
    return abs((a - b + math.pi) % (2 * math.pi) - math.pi)


def wrapped(ticks):
    return (ticks + PERIOD // 2) % PERIOD - PERIOD // 2


@pytest.mark.parametrize(
    ("track_um", "ticks_per_metre", "start_ticks"),
    [(160_000, 3000, 0), (160_000, 3000, PERIOD // 2 - 5000), (90_000, 500, 0), (300_000, 30_000, 0)],
)
def test_odometry_follows_float_arithmetic_over_long_drives(track_um, ticks_per_metre, start_ticks, record_property):
    from odometry import Odometry

    worst_m = worst_rad = driven_m = 0.0
    for seed in range(3):
        draw = random.Random(seed)
        odometry = Odometry((track_um, ticks_per_metre, 2000), (1500, -700, 1000))
        reference = FloatOdometry(track_um / 1e6, ticks_per_metre, (1.5, -0.7, 1.0))
        ticks = [start_ticks, -start_ticks]
        now = PERIOD - 1_000_000
        odometry.update(ticks, now)
        left_m_s = right_m_s = 0.0
        for step in range(20_000):  # 400 s
            if step % 50 == 0:
                left_m_s, right_m_s = draw.uniform(-0.5, 0.5), draw.uniform(-0.5, 0.5)
            left = round(left_m_s * 0.02 * ticks_per_metre + draw.uniform(-0.5, 0.5))
            right = round(right_m_s * 0.02 * ticks_per_metre + draw.uniform(-0.5, 0.5))
            ticks = [wrapped(ticks[0] + left), wrapped(ticks[1] + right)]
            now = (now + 20_000) % PERIOD
            odometry.update(ticks, now)
            reference.move(left, right)
            driven_m += abs(left + right) / 2 / ticks_per_metre
            if step % 100 == 0:
                worst_m = max(
                    worst_m, math.hypot(odometry.x_mm() / 1000 - reference.x, odometry.y_mm() / 1000 - reference.y)
                )
                worst_rad = max(worst_rad, angle_between(odometry.heading_mrad() / 1000, reference.heading))
    record_property("driven_m", driven_m)
    record_property("worst_mm", worst_m * 1000)
    record_property("worst_mrad", worst_rad * 1000)
    print(f"driven {driven_m:.0f} m, worst {worst_m * 1000:.2f} mm and {worst_rad * 1000:.2f} mrad")
    # half a millimetre and half a milliradian are the wire's rounding; the rest is the start heading's and the sine's
    assert worst_m < 0.003
    assert worst_rad < 0.0011


def test_the_heading_depends_on_the_tick_difference_alone():
    from odometry import Odometry

    draw = random.Random(5)
    odometry = Odometry((160_000, 3000, 2000), (0, 0, 0))
    odometry.update([0, 0], 0)
    left = right = 0
    for _ in range(200_000):
        left += draw.randint(-40, 60)
        right += draw.randint(-60, 40)
        odometry.update([left, right], 0)
    right_way = (right - left) / 3000 / 0.16
    assert angle_between(odometry.heading_mrad() / 1000, right_way) < 0.0011
    while right != left:
        right += max(-5000, min(5000, left - right))
        odometry.update([left, right], 0)
    assert odometry.heading_mrad() == 0, "and back at no difference it is back exactly"


def test_a_large_step_is_taken_as_an_arc():
    from odometry import Odometry

    odometry = Odometry((160_000, 3000, 2000), (0, 0, 0))
    odometry.update([0, 0], 0)
    odometry.update([3000, 6000], 20_000)  # what a stalled loop finds: 1 m and 2 m, an arc of 6.25 rad
    turn, radius = 1 / 0.16, 1.5 * 0.16
    assert abs(odometry.x_mm() / 1000 - radius * math.sin(turn)) < 0.002
    assert abs(odometry.y_mm() / 1000 - radius * (1 - math.cos(turn))) < 0.002


@pytest.mark.parametrize("heading_mrad", [-3142, -3141, -1571, -1, 0, 1, 1000, 3141, 3142])
def test_set_pose_is_read_back(heading_mrad):
    from odometry import Odometry

    odometry = Odometry((160_000, 3000, 2000), (0, 0, 0))
    odometry.update([5, 900], 0)
    odometry.update([505, 1500], 20_000)
    odometry.set_pose(-12345, 67890, heading_mrad)
    assert (odometry.x_mm(), odometry.y_mm()) == (-12345, 67890)
    assert angle_between(odometry.heading_mrad() / 1000, heading_mrad / 1000) < 0.0011
    assert -3142 <= odometry.heading_mrad() <= 3142


def test_ticks_from_before_the_start_are_no_movement():
    from odometry import Odometry

    odometry = Odometry((160_000, 3000, 2000), (100, 200, 0))
    odometry.update([123_456, -98_765], 0)
    assert (odometry.x_mm(), odometry.y_mm(), odometry.heading_mrad()) == (100, 200, 0)


@pytest.mark.parametrize("speed_m_s", [0.5, -0.25, 0.05])
def test_wheel_speeds(speed_m_s):
    from odometry import Odometry

    odometry = Odometry((160_000, 3000, 2000), (0, 0, 0))
    for i in range(30):
        left = round(speed_m_s * 0.02 * i * 3000)
        odometry.update([left, -left], (PERIOD - 300_000 + i * 20_000) % PERIOD)
    tick_mm_s = 1000 / 3000 / 0.08
    assert abs(odometry.left_mm_s - speed_m_s * 1000) <= tick_mm_s + 1
    assert abs(odometry.right_mm_s + speed_m_s * 1000) <= tick_mm_s + 1
    for i in range(5):
        odometry.update([left, -left], i * 20_000 + 300_000)
    assert (odometry.left_mm_s, odometry.right_mm_s) == (0, 0)


def test_every_intermediate_fits_a_small_int_of_31_bits():
    """On the microcontroller a larger one would be allocated. Numbers that check themselves stand in for ints."""
    import odometry as module

    class Small(int):
        """An int that refuses to leave 31 bits."""

        def _kept(self, value):
            assert -PERIOD <= value < PERIOD, value
            return Small(value)

    def operator(name):
        plain = getattr(int, name)
        return lambda self, other: self._kept(plain(self, int(other)))

    for name in ("add", "sub", "mul", "floordiv", "mod", "and", "or", "xor", "lshift", "rshift"):
        setattr(Small, f"__{name}__", operator(f"__{name}__"))
        setattr(Small, f"__r{name}__", operator(f"__r{name}__"))
    Small.__neg__ = lambda self: self._kept(-int(self))

    draw = random.Random(6)
    for track_um, ticks_per_metre in [(160_000, 3000), (90_000, 500), (300_000, 100_000)]:
        odometry = module.Odometry((track_um, ticks_per_metre, 2000), (0, 0, 0))
        odometry.ticks = [Small(0), Small(0)]
        odometry._window_ticks = [Small(0)] * 8
        odometry._window_us = [Small(0)] * 4
        odometry.set_pose(Small(-PERIOD + 1), Small(PERIOD - 1), Small(-3142))
        now = 0
        for _ in range(500):
            now = (now + draw.choice([0, 100, 20_000, 1_000_000])) % PERIOD
            ticks = [Small(draw.randrange(-20_000, 20_000)) for _ in range(2)]
            odometry.update(ticks, Small(now))
            odometry.x_mm(), odometry.y_mm(), odometry.heading_mrad()
        assert isinstance(odometry._phase, Small)
        assert isinstance(odometry._x, Small)


@pytest.mark.parametrize(
    ("later", "earlier", "expected"),
    [
        (5, 3, 2),
        (3, 5, -2),
        (0, PERIOD - 1, 1),
        (PERIOD - 1, 0, -1),
        (PERIOD // 2 - 1, 0, PERIOD // 2 - 1),
        (PERIOD // 2, 0, -PERIOD // 2),
    ],
)
def test_times_are_compared_modulo_2_to_30(later, earlier, expected):
    import ticks

    assert ticks.diff(later, earlier) == expected
    if 0 < expected < PERIOD // 2:
        assert ticks.add(earlier, expected) == later


class Body:
    """A sound robot at rest, for the monitor."""

    def __init__(self):
        self.ranges_mm = [1000] * 8
        self.range_stamps_us = [0] * 8
        self.left_mm_s = self.right_mm_s = 0
        self.bumped = self.driver = 0

    def bump(self):
        return self.bumped

    def motor_fault(self):
        return self.driver


def watch(body, passes, left=0, right=0, battery_mv=7400, monitor=None):
    """(condition, flags) after so many passes of 20 ms."""
    from monitor import Monitor

    monitor = monitor or Monitor(6800, 6200)
    for _ in range(passes):
        condition = monitor.update(body, body, left, right, battery_mv)
    return condition, monitor.flags


def test_monitor_flags_and_conditions():
    body = Body()
    assert watch(body, 500) == (0, 0)
    body.bumped = 1
    assert watch(body, 1) == (0, 1)
    body.bumped = 0
    assert watch(body, 24, left=40) == (0, 0)
    assert watch(body, 25, left=40) == (0, 2)
    assert watch(body, 25, right=-40) == (0, 2)
    assert watch(body, 100, left=20) == (0, 0)
    assert watch(body, 1, battery_mv=6799) == (0, 4)
    assert watch(body, 500, battery_mv=-1) == (0, 0), "no sensor is no empty battery"
    assert watch(body, 99, battery_mv=6100) == (0, 4)
    assert watch(body, 100, battery_mv=6100) == (5, 4)
    body.ranges_mm[3] = -1
    assert watch(body, 24) == (0, 0)
    assert watch(body, 500) == (0, 8)
    body.ranges_mm = [-1] * 8
    assert watch(body, 49) == (0, 8)
    assert watch(body, 50) == (6, 8)
    body = Body()
    body.driver = 1
    assert watch(body, 1) == (4, 0)


def test_monitor_sees_wheels_that_turn_undriven():
    from monitor import Monitor

    body = Body()
    body.left_mm_s = -200
    assert watch(body, 45) == (0, 0), "it may still roll out"
    assert watch(body, 60) == (7, 0)
    monitor = Monitor(6800, 6200)
    watch(body, 30, monitor=monitor)
    body.right_mm_s = -200
    assert watch(body, 500, left=-40, right=-40, monitor=monitor)[0] == 0
