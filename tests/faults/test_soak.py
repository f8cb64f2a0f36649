"""The soak, short: `jepa-bridge bench soak --minutes 30` is the long one."""

from __future__ import annotations

import dataclasses

from jepa_bridge.faults.soak import Soak, _problems, soak


def test_a_short_drive_over_a_bad_line_loses_track_of_nothing():
    # more errors than the long one, or a short one would see none
    result = soak(0.15, rate=1e-3, speed=2.0)
    assert not result.problems, result
    assert result.lost > 0
    assert result.commands == result.lost + result.applied + result.expired + result.refused
    assert result.distance_m > 2


def test_what_a_soak_must_not_find_is_found():
    good = Soak(
        1.0, 1.0, 1e-4, 100_000, 10, (80_000, 80_100), (9, 9), (20, 20), 1000, 5, 990, 3, 2, 1100, 1100, 0, 0, 0, 3,
        9.0, "time-limit", (),
    )  # fmt: skip
    assert _problems(good, 1000) == ()
    for change, in_line in (
        ({"ended_by": "[link-lost] gone"}, 1000),
        ({"reboots": 1}, 1000),
        ({"rss_kb": (80_000, 90_000)}, 1000),
        ({"threads": (9, 10)}, 1000),
        ({"descriptors": (20, 21)}, 1000),
        ({}, 999),
        ({}, 1001),
        ({"robot_frames": 1101}, 1000),
        ({"bytes_damaged": 0}, 1000),
        ({"applied": 800}, 1000),
    ):
        assert len(_problems(dataclasses.replace(good, **change), in_line)) == 1, change
