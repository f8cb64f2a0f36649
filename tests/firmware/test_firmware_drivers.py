"""The I2C drivers against parts that behave by their registers, in MicroPython and CPython, polled without heap."""

import pytest


@pytest.fixture
def told(run_inside):
    return run_inside("i2c_drivers.py")


@pytest.mark.parametrize("kind", ["vl53l0x", "vl53l1x"])
@pytest.mark.parametrize("on", ["mux", "xshut"])
def test_a_ring_of_time_of_flight_sensors(told, kind, on):
    ring = told[f"{kind} {on}"]
    assert ring["collisions"] == 0, "two parts that answer to one address"
    if on == "xshut":
        assert ring["addresses"] == [0x30, 0x31, 0x32, 0x33, 0x34, 0x29, 0x36, 0x37], "the sixth is not fitted"
    # channel 0 looks back, channel 7 to the front; offsets of 10 and -10 on the second and third; no sixth
    assert ring["ranges"] == [1000, 410, 490, 600, 700, -1, 900, 300]
    assert ring["most_transfers"] <= 4, "a look at one sensor, not at all"
    assert ring["silent"] == [-1] * 8
    # by channel: good, too little light, too far or wrapped, broken, and broken or too near
    assert ring["by_status"] == [-1, 2000, 2000, -1, 0 if kind == "vl53l0x" else -1]
    assert ring["unplugged"] == -1
    assert ring["plugged"] == 510
    assert ring["errors"] >= 1


def test_what_the_parts_are_set_to(told):
    # the factory's diodes behind an aperture begin at 12: four of them
    assert told["vl53l0x mux"]["spads"] == [0, 0xF0, 0, 0, 0, 0]
    assert told["vl53l1x mux"]["budget"] == [0x00, 0x60, 0x00, 0x6E], "33 ms"
    assert told["vl53l1x mux"]["period"] == 0x2C0 * 35 * 43 // 40
    assert "no VL53L1X" in told["strange"]


def test_the_gyro_takes_over_where_wheels_slip(told):
    heading = told["heading"]
    assert heading["valid"]
    assert heading["after_40_s_of_rest"] == 0, "standing, nothing drifts"
    # 15 of 16 parts are the gyro's
    assert heading["slipping_quarter"] == pytest.approx(1571 + (3125 - 1571) / 16, abs=10)
    assert heading["x_y"] == pytest.approx([0, 0], abs=2)
    assert not heading["lost"]
    assert heading["wheels_alone"] == pytest.approx(700 / 480 * 1000, abs=10)
