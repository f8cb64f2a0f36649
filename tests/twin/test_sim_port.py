"""`sim://` as a serial port, with the firmware itself behind it."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("mujoco")

import serial

from jepa_bridge.errors import BridgeError
from jepa_bridge.link.clock import Clock
from jepa_bridge.link.link import Link
from jepa_bridge.link.schema import ResetCause
from jepa_bridge.link.transport import open_transport
from jepa_bridge.twin import protocol_sim
from jepa_bridge.twin.firmware import command
from jepa_bridge.twin.settings import TwinSettings, parse_settings

HOST = Path(__file__).parents[2] / "host"
PATIENCE_S = 30.0
HAS_MICROPYTHON = command(None) != [sys.executable]
FIRMWARES = [
    pytest.param("micropython", marks=pytest.mark.skipif(not HAS_MICROPYTHON, reason="no micropython here")),
    "cpython",
]


class Host:
    """A link to a twin, and what it has sensed."""

    def __init__(self, url):
        self.sensors = []
        self.transport = open_transport(url)
        self.link = Link(
            self.transport,
            Clock(self.transport.time_scale),
            on_sensor=lambda sensor, *_: self.sensors.append(sensor),
        )
        self.link.start()
        self.hello = self.link.wait_ready(PATIENCE_S)
        self.wait(lambda: self.sensors)

    def wait(self, done):
        deadline_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)

    def drive(self, left, right, done):
        deadline_s = time.monotonic() + PATIENCE_S
        while not done(self.sensors[-1]):
            assert time.monotonic() < deadline_s, self.sensors[-1]
            self.link.command(left, right, 400_000)  # long-lived: a busy test machine is no reason to stutter
            time.sleep(0.02)

    def standstill(self):
        self.wait(lambda: self.sensors[-1].left_mm_s == 0 == self.sensors[-1].right_mm_s)


@pytest.fixture
def connect():
    hosts = []

    def make(url):
        hosts.append(Host(url))
        return hosts[-1]

    yield make
    for host in hosts:
        host.link.close()


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_the_firmware_drives_a_metre(connect, tmp_path, firmware):
    truth = tmp_path / "truth.jsonl"
    host = connect(f"sim://open?start=1,2.5,0&speed=2&firmware={firmware}&truth={truth}")
    assert host.hello.board == "sim"
    assert host.hello.range_max_mm == 2000
    assert host.hello.reset_cause is ResetCause.POWER_ON
    first = host.sensors[-1]
    assert (first.x_mm, first.y_mm) == (1000, 2500)
    # back, backLeft, backRight see the wall at x = 0
    assert first.ranges_mm == pytest.approx((2000, 2000, 2000, 2000, 2000, 1314, 1314, 900), abs=2)
    host.link.arm()
    host.drive(60, 60, lambda sensor: sensor.x_mm >= 2000)
    host.standstill()
    last = host.sensors[-1]
    assert 2000 <= last.x_mm < 3500
    assert last.ranges_mm[7] == pytest.approx(min(2000, last.x_mm - 100), abs=20)
    host.link.close()
    true = json.loads(truth.read_text().splitlines()[-1])
    assert true["x_m"] == pytest.approx(last.x_mm / 1000, abs=0.02)
    assert not true["contact"]


def test_turning_left_is_positive(connect):
    host = connect("sim://open?start=2.5,2.5,0")
    host.link.arm()
    host.drive(-20, 20, lambda sensor: sensor.heading_mrad > 400)


def test_a_wall_is_felt(connect):
    host = connect("sim://open?start=4.7,2.5,0&speed=2")
    host.link.arm()
    host.drive(40, 40, lambda sensor: sensor.flags & 1)


def test_reboot_makes_another_life(connect):
    host = connect("sim://open?speed=2")
    boot_id = host.hello.boot_id
    host.link.reboot()
    host.wait(lambda: host.link.hello and host.link.hello.boot_id != boot_id)
    hello = host.link.wait_ready(PATIENCE_S)
    assert hello.reset_cause is ResetCause.SOFTWARE
    assert hello.uid == host.hello.uid


def test_the_port_is_an_ordinary_one():
    with serial.serial_for_url("sim://cluttered?seed=4&speed=3", timeout=PATIENCE_S) as port:
        assert isinstance(port, serial.Serial)
        assert port.port == "sim://cluttered?seed=4&speed=3"
        assert port.time_scale == 3.0
        assert port.twin["arena"] == "cluttered"
        assert port.twin["seed"] == 4
        port.dtr = port.rts = False
        assert port.read(1)
        with pytest.raises(serial.SerialException):
            port.open()
        path = port.twin["port"]
        pid = port.twin["pid"]
    assert port.twin == {}
    assert not Path(path).exists()
    assert not Path(f"/proc/{pid}").exists()


def test_it_is_ours_alone():
    with serial.serial_for_url("sim://open", exclusive=True) as port, pytest.raises(serial.SerialException):
        serial.Serial(port.twin["port"], exclusive=True)


def test_the_twin_ends_with_a_killed_host():
    code = (
        "import os, serial, sys; from jepa_bridge.link import transport;"
        "port = serial.serial_for_url('sim://open'); print(port.twin['pid'], flush=True); os.kill(os.getpid(), 9)"
    )
    host = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(HOST)},
        check=False,
    )
    pid = int(host.stdout)
    deadline_s = time.monotonic() + PATIENCE_S
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_what_the_twin_complains_of_is_told():
    with pytest.raises(BridgeError) as caught:
        open_transport("sim://open?truth=/nowhere/truth.jsonl")
    assert caught.value.code == "twin-start"
    assert "/nowhere/truth.jsonl" in caught.value.hint


def test_an_unknown_arena_is_refused_before_anything_starts():
    with pytest.raises(BridgeError) as caught:
        open_transport("sim://maze")
    assert caught.value.code == "unknown-arena"


def test_without_mujoco_it_says_what_to_install(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        protocol_sim.importlib.util, "find_spec", lambda name: None if name == "mujoco" else find_spec(name)
    )
    with pytest.raises(BridgeError) as caught:
        open_transport("sim://open")
    assert caught.value.code == "missing-extra"
    assert "[sim]" in caught.value.hint


def test_settings_are_read():
    settings = parse_settings(
        "doorway?seed=2&speed=0.5&start=1,2,-90&firmware=cpython&randomise=1&bump=0&truth=a.jsonl"
    )
    assert settings == TwinSettings(
        "doorway", 2, 0.5, (1.0, 2.0, -math.pi / 2), "cpython", randomise=True, bump=False, truth=Path.cwd() / "a.jsonl"
    )
    assert settings.randomisation() == settings.randomisation()
    assert parse_settings("open") == TwinSettings("open")
    assert parse_settings("open/?seed=1") == TwinSettings("open", 1)


@pytest.mark.parametrize(
    "spec",
    [
        "open?sped=1",
        "open?seed=-1",
        "open?seed=x",
        "open?speed=nan",
        "open?start=1,2",
        "open?randomise=yes",
        "open?truth=",
    ],
)
def test_bad_settings_are_refused(spec):
    with pytest.raises(BridgeError) as caught:
        parse_settings(spec)
    assert caught.value.code == "twin-parameter"
    assert "seed" in caught.value.hint
