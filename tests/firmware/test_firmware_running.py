"""`main.py sim` as the twin starts it: a real pty, a body behind pipes, MicroPython and CPython."""

import itertools
import os
import time

import cbor2
import pycddl
import pytest
from running_firmware import (
    ACK,
    ARM,
    ARMED,
    CLEAR,
    CMD,
    DRIVING,
    FIRMWARE,
    HELLO,
    IDLE,
    LOG,
    OPEN,
    OPENED,
    PERIOD,
    POSE,
    REBOOT,
    ROOT,
    SEED,
    SENSOR,
    STATUS,
    STOP,
    STOPPED,
    TIME_SYNC,
    Robot,
    frame,
    host_frame,
)

OK, WRONG_STATE, WRONG_SESSION, WRONG_VERSION, FAULT_PRESENT = range(5)


@pytest.fixture
def robot(interpreter):
    command, environment = interpreter
    robots = []

    def start(**keys):
        robots.append(Robot(command, environment, **keys))
        return robots[-1]

    yield start
    for one in robots:
        one.close()


@pytest.fixture
def fast_robot():
    """MicroPython only: for what both interpreters share."""
    robots = []

    def start(**keys):
        robots.append(Robot(**keys))
        return robots[-1]

    yield start
    for one in robots:
        one.close()


def device_seconds(messages):
    """Device time between the first and the last of these messages."""
    return ((messages[-1][3] - messages[0][3]) % PERIOD) / 1e6


def test_an_idle_robot_says_hello_twice_a_second(robot):
    device = robot(uid="0102030405", boot_id=99, reset_cause=3, range_max_mm=1234)
    device.pump(5, lambda: len(device.of(HELLO)) == 4)
    hellos = device.of(HELLO)
    assert hellos[0][4:] == [
        1,
        SEED.to_bytes(4, "big"),
        bytes(range(1, 6)),
        99,
        "0.1.0",
        "sim",
        3,
        hellos[0][11],
        50,
        1234,
        80,
        500,
        3,
    ]
    assert device_seconds(hellos) == pytest.approx(1.5, abs=0.1)
    assert hellos[3][11] - hellos[0][11] == pytest.approx(1500, abs=100), "uptime"
    assert not device.of(SENSOR)
    assert not device.of(STATUS)


def test_a_session_drives_stops_and_ends(robot):
    device = robot(ticks_start=PERIOD - 1_400_000)  # the clock wraps within the session
    device.open()
    assert device.state() == OPENED

    seen = len(device.of(SENSOR))
    device.pump(1.0)
    sensors = device.of(SENSOR)[seen:]
    assert (len(sensors) - 1) / device_seconds(sensors) == pytest.approx(50, rel=0.05)

    device.command(50, 50)
    device.pump(0.1)
    assert all(left == right == 0 for _, left, right, _ in device.motors), "not armed"
    assert device.ask(ARM) == OK
    device.drive(40, -30, 0.4)
    assert device.motors[-1][1:3] == (40, -30)
    assert device.of(STATUS)[-1][4] == DRIVING
    assert device.device_us() < PERIOD // 2, "the clock has wrapped"

    # silence: the command expires, the wheels ramp down, the robot stays armed
    armed = device.wait_for(STATUS, lambda m: m[4] == ARMED, timeout=2)
    assert armed[6] == device.seq, "cmd_seq is the last applied"
    assert device.pump(1, lambda: device.motors[-1][1:3] == (0, 0))

    device.drive(-80, 80, 0.3)
    assert device.ask(STOP, 0) == OK
    assert device.pump(1, lambda: device.motors[-1][1:3] == (0, 0))
    device.command(80, 80)
    assert device.ask(ARM) == FAULT_PRESENT
    assert device.state() == STOPPED
    device.pump(0.1)
    assert device.motors[-1][1:3] == (0, 0)

    # a silent host loses the session; the latch stays
    device.wait_for(STATUS, lambda m: m[4] == IDLE and m[2] == 0, timeout=5)
    device.open(session=78)
    assert device.state() == STOPPED
    assert device.ask(CLEAR) == OK
    assert device.state() == OPENED
    assert all(a == b for a, b in zip([m[3] for m in device.motors], range(len(device.motors)), strict=True))


def test_the_ramp_after_the_expiry_takes_at_most_100_ms(fast_robot):
    device = fast_robot()
    device.open()
    assert device.ask(ARM) == OK
    device.drive(80, 80, 0.4)
    device.pump(0.5)
    # device time, which a loaded machine does not stretch: DRIVING's end and the first STATUS with wheels at rest
    states = [m for m in device.of(STATUS) if m[4] == ARMED]
    assert states[-1][7:9] == [0, 0]
    ramp = [m for m in device.motors if 0 < m[1] < 80]
    falling = [m for m in ramp if m[0] > device.motors[-1][0] - 0.6]
    stopped_at = next(m[0] for m in device.motors if m[0] > falling[0][0] and m[1] == 0)
    assert 0.05 < stopped_at - falling[0][0] < 0.15


def test_answers_and_clock(fast_robot):
    device = fast_robot()
    device.wait_for(HELLO)
    assert device.ask(ARM) == WRONG_SESSION
    device.session = 5
    assert device.ask(OPEN, 2) == WRONG_VERSION
    assert device.ask(OPEN, 1) == OK
    seq = device.send(TIME_SYNC)
    ack = device.wait_for(ACK, lambda m: m[5] == seq)
    assert 0 <= (ack[3] - ack[7]) % PERIOD < 20_000
    assert device.ask(POSE, 1234, -5678, 1500) == OK
    sensor = device.wait_for(SENSOR)
    assert sensor[20:22] == [1234, -5678]
    assert abs(sensor[22] - 1500) <= 1
    assert device.ask(ARM) == OK
    assert device.ask(POSE, 0, 0, 0) == WRONG_STATE


def test_sensor_reports_what_the_body_feels(fast_robot):
    device = fast_robot(x_mm=1000, y_mm=2000, heading_mrad=0)
    device.body.update(ranges=[100, 200, 65535, 400, 500, 600, 700, 2000], battery=6700, bump=1)
    device.open()
    sensor = device.wait_for(SENSOR, lambda m: m[28] & 8)
    assert sensor[4:12] == [100, 200, None, 400, 500, 600, 700, 2000]
    assert all(0 <= age <= 100 for age in sensor[12:20])
    assert sensor[27] == 6700
    assert sensor[28] == 1 + 4 + 8  # bump, battery low, range fault
    device.body.update(left=3000, right=3000)
    moved = device.wait_for(SENSOR, lambda m: m[23:25] == [3000, 3000])
    assert moved[20:23] == [2000, 2000, 0], "a metre ahead"
    device.body = None  # the body falls silent: readings age
    device.wait_for(SENSOR, lambda m: m[12] >= 500)


def test_wheel_deadlines_hold_while_nobody_reads_the_port(robot):
    device = robot()
    device.open()
    assert device.ask(ARM) == OK
    device.drive(60, 60, 0.3)
    device.reading = False
    for _ in range(200):  # 10 s of frames would fit; the pty's buffer does not
        device.command(60, 60, 400_000)
    device.pump(1.2)
    assert device.motors[-1][1:3] == (0, 0), "the command expired on time"
    last_driven = max(at for at, left, _, _ in device.motors if left)
    assert last_driven < device.motors[-1][0] - 0.3
    device.reading = True
    device.pump(0.3)
    assert device.process.poll() is None


def test_a_full_port_drops_whole_frames_and_counts_them(fast_robot):
    device = fast_robot(speed=5)
    device.open()
    device.reading = False
    end = time.monotonic() + 6
    while time.monotonic() < end:
        device.send(TIME_SYNC)
        device.pump(0.2)
    device.reading = True
    dropped = device.wait_for(STATUS, lambda m: m[13] > 0)[13]
    assert dropped > 10
    numbers = [m[1] for _, m in device.messages]
    assert numbers == list(range(len(numbers))), "a dropped frame took no number, and no frame came in part"


def test_garbage_moves_nothing(fast_robot):
    device = fast_robot()
    device.open()
    assert device.ask(ARM) == OK
    for data in (
        b"\x03\x04import machine\r\n\0",
        os.urandom(300) + b"\0",
        frame(b"\x87\x13", SEED ^ 1),
        host_frame(CMD, 5, device.session, 0, 81, 0, 0),
        host_frame(200, 1, device.session, 0),
    ):
        device.write(data)
    status = device.wait_for(STATUS, lambda m: m[10] >= 3 and m[11] >= 2)
    assert status[4] == ARMED
    assert all(left == right == 0 for _, left, right, _ in device.motors)


def test_reboot_ends_the_program_with_42(robot):
    device = robot()
    device.open()
    assert device.ask(REBOOT) == OK
    assert device.pump(3, lambda: device.process.poll() is not None)
    assert device.process.returncode == 42


def test_the_program_ends_when_its_body_is_gone(robot):
    device = robot()
    device.wait_for(HELLO)
    os.close(device.body_write)
    device.body = None
    assert device.process.wait(3) == 0


def test_logs_are_at_most_two_a_second(fast_robot):
    device = fast_robot()
    device.open()
    for session in range(100, 130):
        device.send(OPEN, 1, session=session)
        device.pump(0.05)
    logs = device.of(LOG)
    assert len(logs) >= 3
    for earlier, later in itertools.pairwise(logs):
        assert (later[3] - earlier[3]) % PERIOD > 490_000


def test_the_clock_runs_at_the_given_speed(fast_robot):
    device = fast_robot(speed="4")
    device.open()
    start_us, start = device.device_us(), time.monotonic()
    device.pump(1.0)
    ratio = ((device.device_us() - start_us) % PERIOD) / 1e6 / (time.monotonic() - start)
    assert ratio == pytest.approx(4, rel=0.15)


def test_every_frame_is_valid_by_the_cddl(robot):
    schema = pycddl.Schema((ROOT / "protocol" / "bridge.cddl").read_text())
    device = robot()
    device.body["ranges"][2] = 65535
    device.open()
    device.ask(ARM)
    device.drive(80, -80, 0.2)
    device.ask(STOP, 1)
    device.wait_for(LOG)
    assert {cbor2.loads(raw)[0] for raw in device.raw} == {HELLO, SENSOR, STATUS, ACK, LOG}
    for raw in device.raw:
        schema.validate_cbor(raw)


def test_an_unknown_key_is_refused(robot):
    device = robot(sped=2)
    assert device.process.wait(5) not in (0, 42)


def test_an_exception_in_the_loop_cuts_the_wheels_and_latches(fast_robot, tmp_path):
    program = tmp_path / "failing.py"
    program.write_text(f"""
import sys
sys.path.insert(1, {str(FIRMWARE)!r})
from boards.sim import Board
from loop import Loop

class Failing(Board):
    passes = 0

    def bump(self):
        if self._battery_mv == 7000 and not Failing.passes:
            Failing.passes = 1
            raise OSError(5)
        return 0

Loop(Failing(sys.argv[2:])).run()
""")
    device = fast_robot(program=program)
    device.open()
    assert device.ask(ARM) == OK
    device.drive(80, 80, 0.3)
    assert device.motors[-1][1:3] == (80, 80)
    device.body["battery"] = 7000
    status = device.wait_for(STATUS, lambda m: m[4] == STOPPED)
    assert status[5] == 3, "loop_exception"
    log = device.wait_for(LOG)
    assert log[4:] == [3, 6, "OSError"]
    last_driven = [m[1:3] for m in device.motors if m[1] or m[2]][-1]
    assert last_driven == (80, 80), "no ramp"
    assert device.motors[-1][1:3] == (0, 0)
    assert device.ask(CLEAR) == OK
    assert device.ask(ARM) == OK
