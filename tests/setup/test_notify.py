"""What systemd is told, over a real datagram socket; and which robot is remembered."""

from __future__ import annotations

import os
import socket

import pytest

from jepa_bridge.setup.memory import Remembered, memory_path, remember, remembered
from jepa_bridge.setup.notify import Notifier, journaled


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(2)
        listening.setblocking(False)
        yield listening


def told(manager):
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_ready_is_said_once_and_the_watchdog_fed_a_few_times_in_its_time(manager):
    now = [100.0]
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "4000000"}
    notifier = Notifier(environment, lambda: now[0])
    notifier.status("waits for\na robot")
    notifier.status("drives")
    assert told(manager) == ["READY=1\nSTATUS=waits for a robot", "STATUS=drives"]
    for _ in range(100):  # two seconds of a loop at 50 Hz
        notifier.beat()
        now[0] += 0.02
    assert told(manager) == ["WATCHDOG=1"] * 2
    notifier.stopping()
    assert told(manager) == ["STOPPING=1"]


def test_an_abstract_socket():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"jepa-bridge-test-{os.getpid()}"
        listening.bind("\0" + name)
        listening.settimeout(2)
        Notifier({"NOTIFY_SOCKET": "@" + name}).status("up")
        assert listening.recv(100) == b"READY=1\nSTATUS=up"


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "1000000"}, {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000"},
     {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "soon"}],
)  # fmt: skip
def test_nobody_there_is_no_trouble(environment):
    notifier = Notifier(environment)
    notifier.status("up")
    notifier.beat()
    notifier.stopping()


def test_a_watchdog_of_another_process_is_not_fed(manager):
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    Notifier(environment).beat()
    assert told(manager) == []


def test_the_journal_is_told_by_its_file(tmp_path):
    with (tmp_path / "log").open("w") as file:
        status = os.fstat(file.fileno())
        assert journaled(file.fileno(), {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not journaled(file.fileno(), {"JOURNAL_STREAM": "1:2"})
        assert not journaled(file.fileno(), {})


def test_a_robot_is_remembered(tmp_path):
    robot = Remembered("a1b2c3d4", "devkit", "/dev/ttyUSB0")
    path = tmp_path / "new" / "robot.json"
    assert remembered(path) is None
    assert remember(robot, path)
    assert remembered(path) == robot
    path.write_text('{"uid": 1')
    assert remembered(path) is None
    (tmp_path / "file").touch()
    assert not remember(robot, tmp_path / "file" / "robot.json")


def test_where_it_is_remembered(tmp_path):
    assert memory_path({"STATE_DIRECTORY": "/var/lib/x:/var/lib/y"}).as_posix() == "/var/lib/x/robot.json"
    assert memory_path({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "jepa-bridge" / "robot.json"
