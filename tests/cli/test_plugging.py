"""The program without a port: it waits, finds the robot by its HELLO, drives, and is back after a replug."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from jepa_bridge.errors import Exit
from jepa_bridge.faults.rig import Rig, wait_for
from jepa_bridge.record import read_log

# pyserial does not list ptys: the file's lines stand for the adapters on USB. The rig in this process holds both ends.
LISTED = """
import pathlib, types
from serial.tools import list_ports
def comports():
    names = pathlib.Path({path!r}).read_text().split()
    return [types.SimpleNamespace(device=name, vid=0x10C4, pid=0xEA60, serial_number="0001", product="CP2102",
                                  description="n/a") for name in names]
list_ports.comports = comports
import jepa_bridge.link.discovery as discovery
discovery.port_holders = lambda _: []
from jepa_bridge.cli import main
main()
"""


class Usb:
    def __init__(self, folder):
        self.folder, self.path = folder, folder / "listed"
        self.path.touch()
        self.processes = []
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}

    def plug(self, *names):
        self.path.with_suffix(".new").write_text("\n".join(names))
        self.path.with_suffix(".new").replace(self.path)

    def start(self, *arguments):
        """The program; what it says on stderr."""
        errors = self.folder / f"errors{len(self.processes)}"
        command = [sys.executable, "-c", LISTED.format(path=str(self.path)), *arguments]
        with errors.open("w") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file, text=True, env=self.environment
            )
        self.processes.append(process)
        return process, lambda: errors.read_text().replace("\n", " ")


@pytest.fixture
def usb(tmp_path):
    made = Usb(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


DRIVE = ("--model", "tiny", "--threads", "1", "--quiet")


def test_it_waits_finds_drives_and_is_back_after_a_replug(usb, tmp_path):
    cable = tmp_path / "robot"
    with Rig(symlink=cable) as rig:
        process, said = usb.start(*DRIVE, "--goal", "4.9,4.9", "--log", str(tmp_path / "logs"))
        wait_for(lambda: "waiting for a robot" in said(), "it says that it waits", 30)
        assert rig.sent["robot"].total == 0
        usb.plug(str(cable))
        wait_for(lambda: any(rig.robot.outputs[-1][1:]), "it drives", 20)
        assert "found robot" in said()
        remembered = json.loads((tmp_path / "jepa-bridge" / "robot.json").read_text())
        assert remembered["port"] == str(cable)
        rig.stopped_after_ms(rig.proxy.cut())
        time.sleep(2.5)  # the robot gives its session up, the search is at its longest pause
        began_s = rig.proxy.replug()
        wait_for(lambda: "disarmed" in said(), "it is back", 8)
        print(f"back after {time.monotonic() - began_s:.2f} s")
        rig.stays_at_rest(0.4, "back")
        process.terminate()
        assert process.wait(20) == Exit.INTERRUPTED
        (log,) = (tmp_path / "logs").glob("*.mcap")
        settings = json.loads(read_log(log).metadata["run"]["settings"])
        assert settings["goal"] == {"value": ["4.9,4.9"], "from": "flag"}
        assert settings["radius"] == {"value": 0.25, "from": "default"}


def test_of_two_robots_none_is_guessed_and_the_named_one_is_driven(usb):
    with Rig(uid="0102030405060708") as one, Rig(uid="a1a2a3a4a5a6a7a8") as other:
        usb.plug(one.proxy.path, other.proxy.path)
        process, said = usb.start(*DRIVE, "--goal", "4.9,4.9", "--no-log")
        assert process.wait(40) == Exit.USAGE
        assert "[several-robots]" in said()
        assert all(
            part in said() for part in ("0102030405060708", one.proxy.path, "a1a2a3a4a5a6a7a8", other.proxy.path)
        )
        process, said = usb.start(*DRIVE, "--goal", "4.9,4.9", "--no-log", "--robot", "a1a2a3a4a5a6a7a8")
        wait_for(lambda: any(other.robot.outputs[-1][1:]), "it drives", 30)
        assert one.sent["robot"].total == 0
        process.terminate()
        process.wait(20)


def test_ports_tells_what_is_there(usb):
    with Rig(uid="0102030405060708") as rig:
        usb.plug(rig.proxy.path, "/dev/gone")
        process, _ = usb.start("ports", "--json")
        out, _ = process.communicate(timeout=30)
        found = {row["port"]: row for row in json.loads(out)}
        robot = found[rig.proxy.path]
        assert (robot["usb"], robot["candidate"], robot["robot"]["uid"]) == ("10c4:ea60", True, "0102030405060708")
        assert found["/dev/gone"]["error"]["code"] == "port-missing"
        assert rig.sent["robot"].total == 0
        process, said = usb.start("ports")
        out, _ = process.communicate(timeout=30)
        assert re.search(r"robot 0102030405060708 \(\S+, firmware \S+\)", out)
        assert "no robot was heard" not in said()


def heard(manager, silence_s):
    """What comes until nothing comes for so long."""
    manager.settimeout(silence_s)
    messages = []
    while len(messages) < 50:
        try:
            messages.append(manager.recv(1000))
        except TimeoutError:
            break
    return messages


def test_systemd_is_told_and_its_watchdog_hangs_on_the_loop(usb, tmp_path):
    with Rig() as rig, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        usb.environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        process, _ = usb.start(*DRIVE, "--no-log", "--port", rig.proxy.path)
        assert manager.recv(1000).decode() == f"READY=1\nSTATUS=drives on {rig.proxy.path}, model tiny"
        assert [manager.recv(1000) for _ in range(5)] == [b"WATCHDOG=1"] * 5
        process.send_signal(signal.SIGSTOP)  # a loop that hangs
        assert len(heard(manager, silence_s=1.0)) <= 2, "what was under way"
        process.send_signal(signal.SIGCONT)
        process.terminate()
        manager.settimeout(20)
        while manager.recv(1000) != b"STOPPING=1":
            pass
        assert process.wait(20) in (Exit.INTERRUPTED, Exit.LINK_LOST)


def test_a_robot_on_a_named_port_is_remembered_too(usb, tmp_path):
    with Rig(uid="0102030405060708") as rig:
        process, _ = usb.start(*DRIVE, "--no-log", "--port", rig.proxy.path, "--time-limit", "1")
        assert process.wait(30) == Exit.OK
        path = tmp_path / "jepa-bridge" / "robot.json"
        assert json.loads(path.read_text())["uid"] == "0102030405060708"


def test_for_the_journal_a_line_is_a_message_with_its_priority(usb, tmp_path):
    path = tmp_path / "errors0"
    path.touch()
    status = path.stat()
    usb.environment["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    process, _ = usb.start(*DRIVE, "--no-log", "--wait", "0.3")
    assert process.wait(30) == Exit.NO_HELLO
    lines = path.read_text().splitlines()
    assert lines[0].startswith("<5>waiting for a robot")
    assert lines[-1].startswith("<3>[no-robot]")
    assert "; next: " in lines[-1]
