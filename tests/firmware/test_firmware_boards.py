"""The board files: pins that do not collide, parts by the settings, and what the settings do to wheels and ranges."""

import ast
import importlib
import sys
from types import SimpleNamespace

import pytest
from conftest import INSIDE
from running_firmware import FIRMWARE

BOARDS = ["esp32_devkit", "esp32_s3", "esp32_c3"]
# what may never be wired: flash, and straps that choose what boots
FORBIDDEN = {
    "esp32_devkit": {0, 1, 3, 6, 7, 8, 9, 10, 11, 12},
    "esp32_s3": {0, 3, 19, 20, *range(26, 38), 43, 44, 45, 46},
    "esp32_c3": {2, *range(11, 20)},
}
ALTERNATIVES = {"ultrasonic address", "ultrasonic trigger", "ultrasonic echo"}


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.syspath_prepend(str(INSIDE))
    for name in [name for name in sys.modules if name.split(".")[0] in ("drivers", "boards", "fake_machine", "robot")]:
        monkeypatch.delitem(sys.modules, name)
    import micropython  # noqa: F401

    fake = importlib.import_module("fake_machine")
    monkeypatch.setitem(sys.modules, "machine", fake)
    fake.recording[0] = True
    return fake


def pins_of(board):
    tree = ast.parse((FIRMWARE / "boards" / f"{board}.py").read_text())
    found = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "PINS"]
    return ast.literal_eval(found[0])


def numbers(pins):
    return [pins] if isinstance(pins, int) else [] if pins is None else list(pins)


@pytest.mark.parametrize("board", BOARDS)
def test_no_pin_is_used_twice_or_never_to_be_used(board):
    pins = pins_of(board)
    used = [pin for part, value in pins.items() if part not in ALTERNATIVES for pin in numbers(value)]
    ultrasonic = [pin for part in ALTERNATIVES if part in pins for pin in numbers(pins[part])]
    without_xshut = [pin for part, value in pins.items() if part != "xshut" for pin in numbers(value)]
    assert len(set(used)) == len(used)
    assert len(set(without_xshut)) == len(without_xshut), ultrasonic
    assert not FORBIDDEN[board] & {pin for value in pins.values() for pin in numbers(value)}
    if board == "esp32_devkit":
        inputs_only = {34, 35, 36, 39}
        outputs = {
            pin
            for part in pins
            if part not in ("battery", "motor fault", "ultrasonic echo")
            for pin in numbers(pins[part])
        }
        assert not outputs & inputs_only


def made(name, **settings):
    class Port:
        read_into = write = None

    module = importlib.import_module(f"boards.{name}")
    base = module.SerialPort if name == "esp32_devkit" else module.UsbPort
    setattr(module, base.__name__, Port)
    return module.Board([], SimpleNamespace(**settings))


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("ranges", ["ultrasonic", "vl53l0x", "vl53l1x"])
def test_a_board_is_made_of_what_the_settings_name(machine, name, ranges):
    if name == "esp32_c3" and ranges == "ultrasonic":
        with pytest.raises(ValueError, match="esp32_c3 has no pins for: ultrasonic address"):
            made(name, RANGE_SENSORS=ranges)
        return
    board = made(name, RANGE_SENSORS=ranges, GYRO="mpu6050")
    assert len(board.NAME) <= 16
    assert board.capabilities == (6 if name == "esp32_c3" else 7)
    board.poll_ranges(0)
    assert list(board.ranges_mm) == [-1] * 8
    assert board.gyro is not None
    assert not board.gyro.valid
    board.set_wheels(40, -40)
    assert board.battery_mv() == 7398
    assert board.motor_fault() == 0


def test_motors_are_off_before_anything_is_read(machine):
    with pytest.raises(ValueError, match="RANGE_SENSORS"):
        made("esp32_s3", RANGE_SENSORS="radar")
    assert machine.events[0] == ("pin", 15, 0)
    assert all(value == 0 for what, _, value in machine.events if what == "pwm")


@pytest.mark.parametrize("driver", ["tb6612", "l298n"])
def test_drivers_with_direction_and_speed_lines(machine, driver):
    board = made("esp32_devkit", MOTOR_DRIVER=driver, RIGHT_MOTOR_SIGN=-1)
    pins = machine.pins

    def now():
        return [pins[25].level, pins[26].level, pins[2].pwm.duty, pins[27].level, pins[14].level, pins[15].pwm.duty]

    assert now() == [0, 0, 0, 0, 0, 0]
    board.set_wheels(80, 80)
    assert now() == [1, 0, 800 * 65535 // 1000, 0, 1, 800 * 65535 // 1000]
    if driver == "tb6612":
        assert pins[33].level == 1
    machine.events.clear()
    board.set_wheels(-10, -10)
    left = [(what, number, value) for what, number, value in machine.events if number in (25, 26, 2)]
    assert left[0] == ("pwm", 2, 0), "no voltage while the direction changes"
    assert left[-1] == ("pwm", 2, 100 * 65535 // 1000)
    board.set_wheels(0, 0)
    assert now() == [0, 0, 0, 0, 0, 0]
    if driver == "tb6612":
        assert pins[33].level == 0


def test_after_a_reset_a_person_can_still_get_to_the_prompt(machine, monkeypatch):
    def interrupted(_duration_ms):
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep_ms", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made("esp32_s3", RANGE_SENSORS="ultrasonic")
    assert machine.pins[15].level == 0, "with the motors off"


def test_a_driver_that_does_not_fit_is_refused(machine):
    with pytest.raises(ValueError, match="use a drv8833"):
        made("esp32_c3", MOTOR_DRIVER="tb6612", RANGE_SENSORS="vl53l0x")
    with pytest.raises(ValueError, match="MOTOR_DRIVER"):
        made("esp32_s3", MOTOR_DRIVER="relays")


def test_settings_bend_the_motor_curve_and_the_ranges(machine):
    from robot import Robot

    robot = Robot(
        SimpleNamespace(
            LEFT_DEAD_PERMILLE=120,
            LEFT_GAIN_PERMILLE=900,
            RIGHT_MOTOR_SIGN=-1,
            RANGE_OFFSETS_MM=(5, -30, *(6 * [0])),
            TICKS_PER_METRE=0,
        )
    )
    assert [robot.left_permille(units) for units in (0, 1, -1, 80, -80)] == [0, 129, -129, 840, -840]
    assert [robot.right_permille(units) for units in (0, 10, -80)] == [0, -100, 800]
    assert [robot.range_mm(0, mm) for mm in (-1, 100, 1998, 2000)] == [-1, 105, 2000, 2000]
    assert [robot.range_mm(1, mm) for mm in (-1, 10, 2000)] == [-1, 0, 2000]
    assert robot.geometry == (160000, 2999, 2000), "622 ticks a turn of 33 mm radius"
    for wrong in (
        {"LEFT_MOTOR_SIGN": 0},
        {"LEFT_GAIN_PERMILLE": 0},
        {"RIGHT_DEAD_PERMILLE": 1000},
        {"RANGE_OFFSETS_MM": (0,)},
        {"RANGE_BEARINGS_DEG": (0, 0)},
        {"RANGE_BEARINGS_DEG": (30,)},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - each says its own
            Robot(SimpleNamespace(**wrong))


def test_the_shipped_settings_are_the_robot_as_drawn(machine):
    from robot import Robot

    settings = {}
    exec((FIRMWARE / "settings.py").read_text(), settings)
    robot = Robot(SimpleNamespace(**settings))
    assert robot.geometry == (160000, 3000, 2000)
    assert [robot.left_permille(units) for units in (-80, 0, 80)] == [-800, 0, 800]
    assert robot.places == tuple(range(8))
