"""A twin that was built otherwise than drawn, and a firmware that believes its settings file."""

from __future__ import annotations

import math

import pytest

from jepa_bridge.errors import BridgeError
from jepa_bridge.twin.arena import make_arena
from jepa_bridge.twin.firmware import boot_arguments
from jepa_bridge.twin.physics import Physics
from jepa_bridge.twin.settings import parse_settings


def physics_of(query: str) -> Physics:
    settings = parse_settings(f"open?{query}")
    return Physics(make_arena("open", 0), randomisation=settings.randomisation())


def after(query: str, left: float, right: float, duration_s: float = 1.0) -> Physics:
    physics = physics_of(query)
    physics.set_wheels(left, right)
    physics.advance(duration_s)
    return physics


def test_as_drawn_nothing_is_other():
    assert parse_settings("open").randomisation() is None


def test_a_dead_zone_takes_its_share_of_the_voltage():
    assert after("left_dead=200&right_dead=200", 0.2, 0.2).encoder_ticks == (0, 0)
    left, right = after("left_dead=200", 0.8, 0.55).wheel_speeds_m_s
    assert left == pytest.approx(right, abs=0.005), "0.8 less 200 of 1000, of which 0.8 is 1"


def test_wrong_ways_around_and_full_voltage():
    physics = after("left_motor=-1&right_encoder=-1", 0.5, 0.5)
    assert physics.wheel_speeds_m_s[0] < -0.2
    assert physics.encoder_ticks[0] < -100
    assert physics.encoder_ticks[1] < -100
    assert after("left_gain=0.8", 1.25, 1.0).wheel_speeds_m_s == pytest.approx((0.5, 0.5), abs=0.01)


def test_track_ticks_and_ranges():
    turned = []
    for query in ("track_mm=130", "track_mm=190"):
        physics = after(query, -0.4, 0.4)
        before = physics.true_pose[2]
        physics.advance(0.5)
        turned.append(math.remainder(physics.true_pose[2] - before, 2 * math.pi))
    assert turned[0] / turned[1] == pytest.approx(190 / 130, rel=0.02)
    assert after("left_ticks=1.1", 0.5, 0.5).encoder_ticks[0] == pytest.approx(
        1.1 * after("", 0.5, 0.5).encoder_ticks[0], rel=0.01
    )
    drawn, off = physics_of("").ranges_m(), physics_of("range_offsets_mm=20,-30,0,0,0,0,0,0").ranges_m()
    near = drawn < 1.9
    assert near.any()
    assert (off - drawn)[near] == pytest.approx(
        [v for v, n in zip([0.02, -0.03, 0, 0, 0, 0, 0, 0], near, strict=True) if n]
    )


@pytest.mark.parametrize(
    "query", ["track_mm=1", "left_motor=0", "left_dead=900", "range_offsets_mm=1,2", "left_gain=nan"]
)
def test_what_makes_no_sense_is_refused(query):
    with pytest.raises(BridgeError, match="expected"):
        parse_settings(f"open?{query}")


def test_the_firmware_is_told_its_settings(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text('BOARD = "esp32_s3"\nTRACK_UM = 150000\nRANGE_OFFSETS_MM = (1, 2, 3, 4, 5, 6, 7, 8)\n')
    settings = parse_settings(f"open?settings={mine}").settings
    told = boot_arguments((0, 0, 0), speed=1, uid=b"uidx", boot_id=1, reset_cause=1, settings=settings)
    assert (told["track_um"], told["ticks_per_metre"], told["range_offsets_mm"]) == (150000, 3000, "1,2,3,4,5,6,7,8")
    assert "board" not in told
    mine.write_text("import os")
    with pytest.raises(BridgeError, match=r"mine\.py"):
        parse_settings(f"open?settings={mine}")
