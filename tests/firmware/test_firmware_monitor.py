"""What the monitor learned from the fault cases: held wheels, wheels that turn the other way, stuck range sensors."""

import random

import pytest
from test_firmware_motion import Body, watch

RUNAWAY, WHEEL_STALL = 7, 8
FLAG_STALL, FLAG_STUCK = 2, 16


def test_a_held_wheel_is_flagged_and_then_stops_the_robot():
    body = Body()
    assert watch(body, 99, left=40) == (0, FLAG_STALL)
    assert watch(body, 100, left=40) == (WHEEL_STALL, FLAG_STALL)
    assert watch(body, 100, right=-40) == (WHEEL_STALL, FLAG_STALL)
    body.left_mm_s = 30
    assert watch(body, 500, left=40) == (0, 0)


@pytest.mark.parametrize(("wheel", "speed_mm_s", "fault"), [(40, -200, RUNAWAY), (-40, 200, RUNAWAY), (40, 200, 0)])
def test_a_wheel_that_turns_against_its_output_is_a_runaway(wheel, speed_mm_s, fault):
    body = Body()
    body.left_mm_s = body.right_mm_s = speed_mm_s
    assert watch(body, 49, left=wheel, right=wheel)[0] == 0
    assert watch(body, 50, left=wheel, right=wheel)[0] == fault


class Ranges:
    """A body whose sensors read anew every so many passes, each in its turn."""

    def __init__(self, every=1, value_mm=700, speed_mm_s=200):
        from monitor import Monitor

        self.body = Body()
        self.body.left_mm_s = self.body.right_mm_s = speed_mm_s
        self.monitor = Monitor(6800, 6200, 2000)
        self.draw = random.Random(1)
        self.every, self.value_mm = every, value_mm
        self.passes = 0

    def drive(self, passes, still=(3,)):
        for _ in range(passes):
            self.passes += 1
            for i in range(8):
                if (self.passes + i) % self.every == 0:
                    self.body.range_stamps_us[i] = self.passes * 20_000
                    self.body.ranges_mm[i] = self.value_mm if i in still else self.draw.randint(300, 1900)
            watch(self.body, 1, left=30, right=30, monitor=self.monitor)
        return self.monitor.stuck, self.monitor.flags


@pytest.mark.parametrize("every", [1, 12])
def test_a_sensor_with_one_value_is_named_after_50_of_its_own_readings(every):
    ranges = Ranges(every)
    assert ranges.drive(50 * every) == (0, 0)
    assert ranges.drive(2 * every) == (1 << 3, FLAG_STUCK)
    assert ranges.drive(every, still=()) == (0, 0), "and believed again when it changes"


@pytest.mark.parametrize(
    ("setting", "still"),
    [
        ({"speed_mm_s": 0}, (3,)),  # a robot at rest sees the same for ever
        ({}, range(8)),  # and so does one whose wheels slip
        ({"value_mm": 2000}, (3,)),  # nothing within reach
        ({"value_mm": 99}, (3,)),  # along a wall: on the safe side
        ({"value_mm": -1}, (3,)),  # no reading is another flag
    ],
)
def test_one_value_is_no_fault_where_a_sound_sensor_gives_it(setting, still):
    stuck, flags = Ranges(**setting).drive(500, still=still)
    assert (stuck, flags & FLAG_STUCK) == (0, 0)
