"""The ESP32's board and drivers over a fake `machine`: their logic, not their timing."""

import importlib
import sys
from pathlib import Path

import pytest
from conftest import INSIDE
from running_firmware import ARM, DRIVING, HELLO, MICROPYTHON, SENSOR, STATUS, STOP, Robot


class Clock:
    now = 0

    def ticks_us(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    import micropython  # noqa: F401  (gives `time` what MicroPython's has)

    clock = Clock()
    monkeypatch.setattr("time.ticks_us", clock.ticks_us)
    monkeypatch.setattr("time.sleep_us", lambda _: None)
    return clock


@pytest.fixture
def machine(monkeypatch, clock):
    monkeypatch.syspath_prepend(str(INSIDE))
    sys.modules.pop("fake_machine", None)
    fake = importlib.import_module("fake_machine")
    monkeypatch.setitem(sys.modules, "machine", fake)
    for name in [name for name in sys.modules if name.split(".")[0] in ("drivers", "boards")]:
        monkeypatch.delitem(sys.modules, name)
    fake.recording[0] = True
    return fake


@pytest.fixture
def ring(machine, clock, request):
    """A ring that was made at the time `start`, if the test has one, and whose first turn is due at 25 ms."""
    from drivers.ultrasonic import UltrasonicRing
    from robot import Robot

    clock.now = request.node.callspec.params["start"] - 25_000 if hasattr(request.node, "callspec") else 0

    ranges, stamps = [-1] * 8, [0] * 8
    return UltrasonicRing((16, 17, 4), 13, 35, Robot(None), ranges, stamps), ranges, stamps


def fired(machine):
    """The sensor that the multiplexer points at when the trigger rises, for each trigger so far."""
    address, sensors = {16: 0, 17: 0, 4: 0}, []
    for what, number, value in machine.events:
        if what == "pin" and number in address:
            address[number] = value
        if (what, number, value) == ("pin", 13, 1):
            sensors.append(address[16] + 2 * address[17] + 4 * address[4])
    return sensors


def test_range_sensors_take_turns_without_waiting(machine, ring, clock):
    ultrasonic, _, _ = ring
    for now in range(0, 16 * 25_000 + 1, 1000):
        clock.now = now
        ultrasonic.poll(now)
    sensors = fired(machine)
    assert len(sensors) == 16, "one each 25 ms"
    assert sorted(sensors[:8]) == list(range(8))
    assert sensors[:8] == sensors[8:]


def echo(machine, clock, rise_us, fall_us=None):
    pin = machine.pins[35]
    clock.now = rise_us
    pin.edge(1)
    if fall_us is not None:
        clock.now = fall_us
        pin.edge(0)


@pytest.mark.parametrize(("width_us", "range_mm"), [(580, 99), (5831, 1000), (11_662, 2000), (17_000, 2000)])
@pytest.mark.parametrize("start", [100_000, (1 << 30) - 3000])
def test_an_echo_becomes_a_range(machine, ring, clock, width_us, range_mm, start):
    ultrasonic, ranges, stamps = ring
    ultrasonic.poll(start)
    sensor = fired(machine)[-1]
    echo(machine, clock, start + 450, start + 450 + width_us)
    ultrasonic.poll((start + 18_000) % (1 << 30))
    assert ranges[sensor] == pytest.approx(range_mm, abs=1)
    assert stamps[sensor] == start


def test_no_echo_in_time_is_out_of_reach_and_no_edge_is_no_sensor(machine, ring, clock):
    ultrasonic, ranges, _ = ring
    ultrasonic.poll(100_000)
    first = fired(machine)[-1]
    echo(machine, clock, 100_450)
    ultrasonic.poll(118_000)
    assert ranges[first] == 2000
    ultrasonic.poll(125_000)
    second = fired(machine)[-1]
    machine.pins[35].edge(0)  # the first one's late end
    ultrasonic.poll(143_000)
    assert ranges[second] == -1


def test_motors_are_off_at_boot_and_turn_as_told(machine):
    from drivers.motors import Motors

    motors = Motors((25, 26), (27, 14), 33, 34)
    assert machine.events[0] == ("pin", 33, 0), "the sleep pin, before anything else"
    assert all(value == 0 for what, _, value in machine.events if what == "pwm")

    def duties():
        return [machine.pins[pin].pwm.duty for pin in (25, 26, 27, 14)]

    motors.set(800, -400)
    assert duties() == [80 * 65535 // 100, 0, 0, 40 * 65535 // 100]
    assert machine.pins[33].level == 1
    motors.set(-800, 400)
    assert duties() == [0, 80 * 65535 // 100, 40 * 65535 // 100, 0]
    motors.set(0, 0)
    assert duties() == [0, 0, 0, 0]
    assert machine.pins[33].level == 0


def test_motor_fault_is_believed_after_three_readings(machine):
    from drivers.motors import Motors

    motors = Motors((25, 26), (27, 14), 33, 34)
    motors.set(100, 100)
    machine.pins[34].level = 0
    assert [motors.fault() for _ in range(4)] == [0, 0, 1, 1]
    machine.pins[34].level = 1
    assert motors.fault() == 0


def test_the_interrupt_encoder_counts_both_ways(machine):
    from drivers.encoders import InterruptEncoder

    machine.Pin(18).level = machine.Pin(19).level = 0
    encoder = InterruptEncoder(18, 19)
    forward = [(18, 1), (19, 1), (18, 0), (19, 0)]
    for pin, level in forward * 3:
        machine.pins[pin].edge(level)
    assert encoder.value() == 12
    for pin, level in [(19, 1), (18, 1), (19, 0), (18, 0)]:
        machine.pins[pin].edge(level)
    assert encoder.value() == 8
    machine.pins[18].edge(0)
    assert encoder.value() == 8, "no change, no step"


@pytest.mark.skipif(not Path(MICROPYTHON).exists(), reason="no MicroPython for this machine")
def test_the_board_runs_a_session_without_heap_of_its_own():
    with Robot(program=INSIDE / "esp32.py") as robot:
        robot.open()
        hello = robot.of(HELLO)[0]
        assert hello[6] == b"\x24\x0a\xc4\x01\x02\x03"
        assert hello[9:11] == ["esp32_devkit", 4]
        assert hello[16] == 7
        robot.pump(1.0)
        assert robot.ask(ARM) == 4, "all range sensors are missing on this bench"
        robot.pump(0.5)
        sensor = robot.of(SENSOR)[-1]
        assert sensor[27] == 7398
        assert len(robot.of(SENSOR)) > 20
        assert robot.of(STATUS)[-1][4] < DRIVING
        assert robot.ask(STOP, 0) == 0
        assert robot.process.poll() is None
        robot.process.terminate()


@pytest.mark.skipif(not Path(MICROPYTHON).exists(), reason="no MicroPython for this machine")
def test_a_board_on_usb_with_light_and_gyro_runs_a_session_without_heap_of_its_own():
    with Robot(program=INSIDE / "esp32_s3.py") as robot:
        robot.open()
        assert robot.of(HELLO)[0][9:11] == ["esp32_s3", 4]
        robot.pump(1.0)
        assert robot.of(SENSOR)[-1][4:12] == [400, 500, 600, 700, 800, 900, 1000, 1095]
        assert robot.ask(ARM) == 0
        robot.drive(30, 30, 0.3)
        assert robot.of(STATUS)[-1][4] == DRIVING
        assert robot.ask(STOP, 0) == 0
        robot.pump(1.0)
        heading_mrad = robot.of(SENSOR)[-1][22]
        assert heading_mrad == 0, "a gyro's drift does not turn a robot that stands"
        assert robot.process.poll() is None
        robot.process.terminate()
