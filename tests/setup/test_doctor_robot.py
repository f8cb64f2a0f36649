"""The doctor at the port: what may stand there, the real firmware, and the program."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time

import pytest
from link.fake_device import FakeDevice
from recorded import codes

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.faults.rig import Rig
from jepa_bridge.link import LinkStats, open_transport
from jepa_bridge.setup.doctor import robot
from jepa_bridge.setup.doctor.finding import Level, Target
from jepa_bridge.setup.doctor.system import System

DEVICE = "/dev/ttyUSB0"


def on(computer, device, seconds=0.4):
    def open_it(_name, baud):
        transport = open_transport(device.path, baud)
        device.send(device.text)  # what came before was dropped by the opening
        return transport

    system = computer(opener=open_it)
    return codes(robot.robot(system, Target("pty://there", seconds=seconds)))


@pytest.mark.parametrize(
    ("text", "code", "does"),
    [
        (b"MicroPython v1.24 on ESP32\r\n>>> ", "prompt", "jepa-bridge flash"),
        (b"Traceback (most recent call last):\r\nOSError: 5\r\n>>> ", "firmware-crashed", "jepa-bridge flash"),
        (b"ets Jul 29 2019\r\nrst:0x10\r\nwaiting for download\r\n", "boot-loader", "power"),
        (b"$GPGGA,123519,4807.038,N,01131.000,E*47\r\n" * 5, "no-hello", "device"),
        (bytes(range(1, 256)), "no-hello", "--baud"),
        (b"", "no-hello", "powered"),
    ],
)
def test_what_is_no_robot(computer, monkeypatch, text, code, does):
    monkeypatch.setattr(robot, "HELLO_S", 0.7)
    with FakeDevice(hello=False, text=text) as device:
        found = on(computer, device)
        assert list(found) == [code]
        assert does in found[code].do
        assert device.bytes_in == b""


@pytest.mark.parametrize(
    ("change", "code"),
    [({"protocol_version": 9}, "incompatible-protocol"), ({"schema_hash": b"\0\1\2\3"}, "incompatible-schema")],
)
def test_old_firmware(computer, change, code):
    with FakeDevice(**change) as device:
        found = on(computer, device)
        assert list(found) == [code]
        assert "jepa-bridge flash" in found[code].do
        assert device.bytes_in == b""


def test_a_robot_is_listened_to_and_not_armed(computer):
    from jepa_bridge.link.schema import Arm, Cmd

    with FakeDevice() as device:
        found = on(computer, device)
        assert {"robot-ok", "link-ok", "clock-ok"} <= set(found)
        assert "01020304" in found["robot-ok"].sentence
        assert device.of(Arm) == device.of(Cmd) == []


def test_a_robot_that_is_deaf(computer):
    from jepa_bridge.link.schema import Open

    with FakeDevice() as device:
        device.deaf_to = {Open.TYPE}
        assert "no-answer" in on(computer, device)["session-failed"].sentence


def test_a_board_that_restarts_when_its_port_is_opened():
    for ticks, restarted in ((0, True), (500_000_000, False)):
        with FakeDevice() as device:

            def open_it(name, baud, device=device, ticks=ticks):
                transport = open_transport(name, baud)
                device._start, device._ticks_at_start = time.monotonic(), ticks
                return transport

            system = System(holders=lambda _: [], opener=open_it)
            assert ("auto-reset" in codes(robot.robot(system, Target(device.path, seconds=0.2)))) is restarted


def test_a_port_that_fails(computer):
    def broken(name, _baud):
        raise BridgeError("port-failed", f"{name} cannot be opened", "is it alive?", status=Exit.PORT)

    assert set(codes(robot.robot(computer(opener=broken), Target("socket://x")))) == {"port-failed"}
    assert codes(robot.robot(computer(), Target("/dev/ttyUSB9"))) == {}


ZERO = LinkStats(*[0] * 13, rtt_us=1000, clock_bound_us=700)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"frames_in": 180, "sensors": 150}, {"link-ok", "clock-ok"}),
        ({"frames_in": 1800, "sensors": 150, "frames_bad": 3}, {"link-errors", "clock-ok"}),
        ({"frames_in": 180, "sensors": 150, "missed_frames": 20}, {"link-errors", "clock-ok"}),
        ({"frames_in": 180, "sensors": 90}, {"link-ok", "sensors-slow", "clock-ok"}),
        ({"frames_in": 180, "sensors": 150, "clock_bound_us": 15_000}, {"link-ok", "clock-poor"}),
        ({"frames_in": 180, "sensors": 150, "clock_bound_us": None}, {"link-ok"}),
    ],
)
def test_the_line(change, expected):
    found = codes(robot.line_quality(ZERO, dataclasses.replace(ZERO, **change), 3.0))
    assert set(found) == expected
    if change.get("missed_frames"):
        assert found["link-errors"].level is Level.PROBLEM


# ---- the program ----


PROGRAM = [sys.executable, "-c", "from jepa_bridge.cli import main; main()"]


def doctor(tmp_path, *arguments, **environment):
    return subprocess.run(
        [*PROGRAM, "doctor", "--json", "--model", "tiny", "--seconds", "1", *arguments],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), **environment},
    )  # fmt: skip


def test_the_program_on_the_real_firmware_and_on_a_wrong_settings_file(tmp_path):
    with Rig() as rig:
        ran = doctor(tmp_path, "--port", f"chaos://@{rig.proxy.path}")
        found = {one["code"] for one in json.loads(ran.stdout)["findings"]}
        assert "robot-ok" in found, ran.stdout
        assert rig.sent["robot"].frames.get("Arm", 0) == 0
        ran = doctor(tmp_path, "--port", rig.proxy.path)
        told = json.loads(ran.stdout)
        assert ran.returncode == Exit.UNHEALTHY
        held = next(one for one in told["findings"] if one["code"] == "port-held")
        assert f"kill {os.getpid()}" in held["do"]
    (tmp_path / "jepa-bridge").mkdir()
    (tmp_path / "jepa-bridge" / "config.toml").write_text("prot = 1")
    ran = doctor(tmp_path, "--port", "/dev/no-such-port")
    told = json.loads(ran.stdout)
    assert {"config-unknown-key", "port-missing"} <= {one["code"] for one in told["findings"]}
    assert not told["healthy"]
