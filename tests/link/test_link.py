"""`Link` end to end: a fake robot on a real pty, real threads, real time."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link import Clock, Health, Link, Transport, open_transport
from jepa_bridge.link.schema import Arm, Cmd, Open, Result, Sensor, State, Stop, StopReason, TimeSync

from .fake_device import FakeDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def linked(device: FakeDevice, **callbacks: object) -> Iterator[Link]:
    transport = open_transport(device.path)
    link = Link(transport, Clock(transport.time_scale), **callbacks)  # type: ignore[arg-type]
    link.start()
    try:
        yield link
    finally:
        link.close()


def eventually(condition: Callable[[], bool], timeout_s: float = 8.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def read_until(deadline: float, transport: Transport) -> None:
    while time.monotonic() < deadline:
        transport.read()


def drive_until(link: Link, condition: Callable[[], bool], timeout_s: float = 8.0) -> None:
    """Commands at 20 Hz until `condition`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        link.command(10, -10)
        time.sleep(0.05)


def test_handshake_opens_and_synchronises_the_clock() -> None:
    with FakeDevice() as device, linked(device) as link:
        hello = link.wait_ready()
        assert hello.uid == device.uid
        assert link.state is State.OPEN
        assert not link.armed
        assert len(device.of(TimeSync)) >= 8
        stats = link.stats()
        assert stats.clock_bound_us is not None
        assert stats.clock_bound_us < 25_000
        assert stats.sessions == 1


def test_nothing_is_written_before_hello() -> None:
    with FakeDevice(hello=False) as device, linked(device) as link:
        time.sleep(0.3)
        assert not device.bytes_in
        device.hello = True
        link.wait_ready()
        assert isinstance(device.received[0], Open)


def test_commands_flow_only_while_armed_and_name_the_device_clock() -> None:
    with FakeDevice() as device, linked(device) as link:
        link.wait_ready()
        assert link.command(10, 10) is None
        link.arm()
        drive_until(link, lambda: link.state is State.DRIVING)
        command = device.of(Cmd)[-1]
        assert isinstance(command, Cmd)
        assert (command.left_wheel, command.right_wheel) == (10, -10)
        # sent a moment ago, to expire 150 ms after that on the device's clock
        left_us = (command.expires_us - device.ticks()) % (1 << 30)
        assert left_us <= 176_000 or left_us > (1 << 29)
        link.stop(StopReason.OPERATOR)
        assert link.command(10, 10) is None
        eventually(lambda: link.state is State.STOPPED)
        with pytest.raises(BridgeError) as refused:
            link.arm()
        assert refused.value.code == "robot-refused"
        assert refused.value.status is Exit.ROBOT_REFUSED
        assert "fault_present" in refused.value.message
        link.clear()
        link.arm()
        assert link.armed


def test_control_messages_are_sent_again_until_answered() -> None:
    with FakeDevice() as device, linked(device) as link:
        link.wait_ready()
        device.answer_late[Arm.TYPE] = 3
        link.arm()
        arms = device.of(Arm)
        assert len(arms) == 4
        assert len({message.seq for message in arms}) == 4


def test_a_robot_that_never_answers_is_told_and_asked_ten_times() -> None:
    with FakeDevice() as device, linked(device) as link:
        link.wait_ready()
        device.deaf_to.add(Arm.TYPE)
        with pytest.raises(BridgeError) as error:
            link.arm(timeout_s=5)
        assert error.value.code == "no-answer"
        assert len(device.of(Arm)) == 10
        assert link.command(5, 5) is None


@pytest.mark.parametrize(
    ("device", "code", "says"),
    [
        ({"protocol_version": 2}, "incompatible-protocol", "version 2"),
        ({"schema_hash": b"\xde\xad\xbe\xef"}, "incompatible-schema", "deadbeef"),
    ],
)
def test_another_version_is_explained_and_gets_no_byte(device: dict[str, object], code: str, says: str) -> None:
    with FakeDevice(**device) as robot, linked(robot) as link:  # type: ignore[arg-type]
        with pytest.raises(BridgeError) as error:
            link.wait_ready()
        assert error.value.code == code
        assert error.value.status is Exit.INCOMPATIBLE
        assert says in error.value.message
        assert "9.8.7" in error.value.message
        assert "update" in error.value.hint
        time.sleep(0.6)
        assert not robot.bytes_in
    assert not robot.bytes_in


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "nothing was received"),
        (b"MicroPython v1.28.0 on 2026-01-01; ESP32\r\n>>> ", "MicroPython prompt"),
        (b"ets Jun  8 2016 00:22:57\r\nrst:0x1 (POWERON_RESET),boot:0x13\r\n", "boot loader"),
        (b"Traceback (most recent call last):\r\nImportError: no module named 'x'\r\n>>> ", "crashed"),
        (b"hello, I am a thermometer: 21.5\r\n" * 20, "thermometer"),
        (bytes(range(128, 256)) * 3, "baud"),
    ],
)
def test_a_port_without_hello_is_described_and_gets_no_byte(text: bytes, says: str) -> None:
    with FakeDevice(hello=False) as device:
        with linked(device) as link:
            device.send(text)
            with pytest.raises(BridgeError) as error:
                link.wait_ready(timeout_s=0.4)
            assert error.value.code == "no-hello"
            assert error.value.status is Exit.NO_HELLO
            assert says in error.value.message + error.value.hint
        assert not device.bytes_in


def test_a_pulled_cable_is_link_lost_and_stays_so() -> None:
    lost: list[BridgeError] = []
    with FakeDevice() as device, linked(device, on_lost=lost.append) as link:
        link.wait_ready()
        link.arm()
        device.pull()
        eventually(lambda: link.error is not None)
        for call in (lambda: link.command(1, 1), link.arm, link.wait_ready):
            with pytest.raises(BridgeError) as error:
                call()
            assert error.value.code == "link-lost"
            assert error.value.status is Exit.LINK_LOST
        assert link.health() is Health.LOST
        assert [error.code for error in lost] == ["link-lost"]


@pytest.mark.parametrize("how", ["reboot", "lose_session"])
def test_a_robot_that_lost_the_session_comes_back_disarmed(how: str) -> None:
    with FakeDevice() as device, linked(device) as link:
        link.wait_ready()
        link.arm()
        drive_until(link, lambda: link.state is State.DRIVING)
        session = device.session
        getattr(device, how)()
        drive_until(link, lambda: device.session not in (0, session))
        link.wait_ready()
        assert not link.armed
        assert link.command(10, 10) is None
        assert link.stats().sessions == 2
        assert link.stats().reboots == (how == "reboot")
        time.sleep(0.1)
        assert not [message for message in device.of(Cmd) if message.session == device.session]


def test_health_follows_the_sensors() -> None:
    with FakeDevice() as device, linked(device) as link:
        link.wait_ready()
        link.arm()
        eventually(lambda: link.health() is Health.OK)
        device.sensors = False
        eventually(lambda: link.health() is Health.DEGRADED)
        eventually(lambda: link.health() is Health.LOST)
        assert link.command(1, 1) is None
        device.sensors = True
        eventually(lambda: link.health() is Health.OK)


def test_callbacks_get_sensors_in_order_across_the_ticks_wrap_and_every_frame() -> None:
    times: list[int] = []
    frames: dict[str, list[bytes]] = {"device": [], "host": []}
    rejected: list[str] = []

    def on_sensor(sensor: Sensor, _host_us: int, device_us: int) -> None:
        assert device_us % (1 << 30) == sensor.t_us
        times.append(device_us)

    callbacks = {
        "on_sensor": on_sensor,
        "on_frame": lambda direction, body, _t: frames[direction].append(body),
        "on_rejected": lambda _data, reason, _t: rejected.append(reason),
    }
    with FakeDevice() as device, linked(device, **callbacks) as link:
        link.wait_ready()
        device.send(b"noise\0")
        eventually(lambda: bool(times) and times[-1] > (1 << 30))
    assert times == sorted(times)
    assert rejected == ["cobs"]
    assert link.stats().garbage_bytes == 5
    assert len(frames["host"]) == len(device.received) == link.stats().frames_out
    assert len(frames["device"]) == link.stats().frames_in


def test_a_slow_caller_does_not_hold_the_reader_up() -> None:
    with FakeDevice() as device, linked(device) as link:
        link.wait_ready()
        sensors = link.stats().sensors
        syncs = len(device.of(TimeSync))
        threading.Event().wait(1.3)  # a planner that thinks for long
        assert link.stats().sensors > sensors + 20
        assert len(device.of(TimeSync)) > syncs


def test_a_port_that_takes_nothing_blocks_neither_caller_nor_reader() -> None:
    with FakeDevice() as device, linked(device) as link:
        link.wait_ready()
        link.arm()
        device.reading = False
        taken_s = []
        deadline = time.monotonic() + 20
        while link.stats().writes_timed_out < 3:
            assert time.monotonic() < deadline
            start = time.monotonic()
            link.command(10, 10)
            taken_s.append(time.monotonic() - start)
            time.sleep(0.0005)
        # a caller that waited for the port would have taken 200 ms three times; a busy machine may delay any one call
        assert sorted(taken_s)[-3] < 0.15
        sensors = link.stats().sensors
        eventually(lambda: link.stats().sensors > sensors + 10)
        assert link.stats().commands_superseded > 0
        device.reading = True
        eventually(lambda: link.state is State.DRIVING)
        link.stop()
        assert link.error is None


def test_a_bug_in_a_callback_ends_the_link_instead_of_hiding() -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planner bug")

    with FakeDevice() as device, linked(device, on_sensor=broken) as link:
        eventually(lambda: link.error is not None)
        with pytest.raises(BridgeError, match="planner bug"):
            link.command(0, 0)


def test_close_sends_stop_until_it_is_heard() -> None:
    with FakeDevice() as device:
        device.answer_late[Stop.TYPE] = 1
        with linked(device) as link:
            link.wait_ready()
            link.arm()
        stops = device.of(Stop)
        assert len(stops) >= 2
        assert all(isinstance(stop, Stop) and stop.reason is StopReason.HOST_EXIT for stop in stops)
        assert device.state is State.STOPPED


def test_a_refused_open_is_told() -> None:
    with FakeDevice() as device:
        device.refuse[Open.TYPE] = Result.WRONG_VERSION
        with linked(device) as link, pytest.raises(BridgeError) as error:
            link.wait_ready()
        assert error.value.code == "robot-refused"
        assert "wrong_version" in error.value.message


def test_reconnects_to_the_same_robot_disarmed_and_to_no_other(tmp_path: Path) -> None:
    port = tmp_path / "robot"
    first = FakeDevice()
    port.symlink_to(first.path)
    transport = open_transport(str(port))
    link = Link(transport, Clock(), reopen=lambda: open_transport(str(port)))
    link.start()
    try:
        link.wait_ready()
        link.arm()
        first.pull()
        port.unlink()
        eventually(lambda: link.health() is Health.LOST)
        assert link.command(1, 1) is None
        with FakeDevice() as second:
            port.symlink_to(second.path)
            link.wait_ready(timeout_s=10)
            assert not link.armed
            assert link.stats().reconnects == 1
            port.unlink()
        eventually(lambda: link.health() is Health.LOST)
        with FakeDevice(uid=b"\x09\x09\x09\x09") as other:
            port.symlink_to(other.path)
            with pytest.raises(BridgeError) as error:
                link.wait_ready(timeout_s=10)
            assert error.value.code == "different-robot"
            assert not other.bytes_in
    finally:
        link.close()


def test_a_port_in_use_names_its_holder() -> None:
    hold = "import sys, serial; s = serial.Serial(sys.argv[1], exclusive=True); print('held', flush=True); input()"
    with FakeDevice(hello=False) as device:
        with subprocess.Popen(
            [sys.executable, "-c", hold, device.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(BridgeError) as error:
                open_transport(device.path)
            assert error.value.code == "port-busy"
            assert error.value.status is Exit.PORT
            assert f"(pid {holder.pid})" in error.value.message
            holder.communicate(b"\n", timeout=20)
        open_transport(device.path).close()


def test_a_network_port_carries_bytes_and_its_end_is_link_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = open_transport(f"socket://127.0.0.1:{server.getsockname()[1]}")
        peer, _ = server.accept()
        assert transport.read() == b""
        peer.sendall(bytes(range(200)))
        got = b""
        deadline = time.monotonic() + 8
        while len(got) < 200 and time.monotonic() < deadline:
            got += transport.read()
        assert got == bytes(range(200))
        assert transport.write(b"hello")
        assert peer.recv(10) == b"hello"
        peer.close()
        with pytest.raises(BridgeError) as error:
            read_until(deadline, transport)
        assert error.value.code == "link-lost"
        transport.close()
        transport.close()


def test_ports_that_cannot_be_opened_say_why(tmp_path: Path) -> None:
    for url, code in (
        (str(tmp_path / "ttyNONE"), "port-missing"),
        ("nonsense://x", "port-invalid-url"),
        ("/dev/null", "port-failed"),
    ):
        with pytest.raises(BridgeError) as error:
            open_transport(url)
        assert error.value.code == code
        assert error.value.status is Exit.PORT
        assert error.value.hint


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (errno.EACCES, "port-permission", "sudo usermod -aG "),
        (errno.EBUSY, "port-busy", "end that program"),
        (errno.EIO, "port-failed", "alive"),
    ],
)
def test_a_port_that_the_system_refuses_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, number: int, code: str, says: str
) -> None:
    """The system's refusal is played, because root is refused nothing."""
    with FakeDevice(hello=False) as device:
        with monkeypatch.context() as patched:

            def refuse(*_: object) -> int:
                raise OSError(number, os.strerror(number))

            patched.setattr(os, "open", refuse)
            with pytest.raises(BridgeError) as error:
                open_transport(device.path)
        assert error.value.code == code
        assert error.value.status is Exit.PORT
        assert says in error.value.hint
