"""The process around the firmware, with a stand-in for the firmware: pipes, restarts, endings, truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("mujoco")

import serial

HERE = Path(__file__).parent
HOST = HERE.parents[1] / "host"
# runs the twin with the stand-in where the shipped firmware would be
RUN = f"""
import pathlib, sys
sys.path.insert(0, {str(HOST)!r})
from jepa_bridge import resources
firmware = pathlib.Path(sys.argv.pop(1))
resources.shipped = lambda name: firmware
from jepa_bridge.twin.__main__ import main
sys.exit(main())
"""
PATIENCE_S = 20.0


class Running:
    """A twin process and its port."""

    def __init__(self, *arguments, firmware=HERE / "stub_firmware", **options):
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(firmware), *arguments],
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.description = json.loads(line)
        self.port = serial.Serial(self.description["port"], timeout=PATIENCE_S)
        self.body()  # whatever the first boot said stands before this answer

    def body(self):
        """The newest body packet that the firmware has."""
        self.port.write(b"b")
        return self.hear("body")["body"]

    def hear(self, what):
        """The next line that says `what`."""
        while True:
            line = self.port.readline()
            assert line, "the firmware said nothing"
            said = json.loads(line)
            if what in said:
                return said

    def boot(self, letter):
        """Make the firmware end by this letter: its next life's arguments, and the whole line."""
        self.port.write(letter)
        said = self.hear("arguments")
        return dict(part.split("=") for part in said["arguments"][1:]), said

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.port.close()


@pytest.fixture
def start():
    running = []

    def begin(*arguments, **options):
        running.append(Running(*arguments, **options))
        return running[-1]

    yield begin
    for twin in running:
        twin.process.kill()
        twin.process.wait()
        twin.port.close()


def gone(pid):
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            # a zombie that only init has yet to reap is gone too
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_arguments_packets_and_folder(start):
    twin = start("open?firmware=cpython&start=1.5,2,90&speed=2")
    arguments, said = twin.boot(b"r")
    assert said["arguments"][0] == "sim"
    assert said["folder"] == "stub_firmware"
    assert float(arguments["speed"]) == 2.0
    assert arguments["x_mm"] == "1500"
    assert arguments["y_mm"] == "2000"
    assert arguments["heading_mrad"] == "1571"
    assert arguments["track_um"] == "160000"
    assert arguments["range_max_mm"] == "2000"
    assert 4 <= len(bytes.fromhex(arguments["uid"])) <= 16
    time.sleep(0.2)
    time_us, *ranges_mm, left, right, battery_mv, bump, zero = twin.body()
    assert ranges_mm[3] == 1400  # left of a robot that looks north: the wall at x = 0
    assert (left, right, battery_mv, bump, zero) == (0, 0, 7400, 0, 0)
    time.sleep(0.5)
    later_us = twin.body()[0]
    assert 0.5e6 * 2 * 0.8 < later_us - time_us < 0.5e6 * 2 * 3  # a busy machine sleeps longer than it was asked


def test_motor_packets_drive_the_body(start, tmp_path):
    truth = tmp_path / "truth.jsonl"
    twin = start(f"open?firmware=cpython&start=1,2.5,0&truth={truth}")
    twin.port.write(b"f")
    time.sleep(1.0)
    left, right = twin.body()[9:11]
    assert left == right > 0.2 * 3000
    twin.end()
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    assert lines[0]["x_m"] == pytest.approx(1.0, abs=0.01)
    assert lines[-1]["x_m"] - 1.0 == pytest.approx(left / 3000, abs=0.4)
    assert lines[-1]["y_m"] == pytest.approx(2.5, abs=0.01)
    assert not lines[-1]["contact"]


def test_the_bump_sensor_and_the_truth_tell_of_a_wall(start, tmp_path):
    truth = tmp_path / "truth.jsonl"
    twin = start(f"open?firmware=cpython&start=4.8,2.5,0&truth={truth}")
    twin.port.write(b"f")
    deadline_s = time.monotonic() + PATIENCE_S
    while not twin.body()[12] and time.monotonic() < deadline_s:
        time.sleep(0.05)
    time.sleep(0.2)  # several lines of truth: the bump is told at once, the line with it only every 20 ms
    twin.end()
    assert any(json.loads(line)["contact"] for line in truth.read_text().splitlines())


def test_wheels_stop_when_the_firmware_hangs(start, tmp_path):
    truth = tmp_path / "truth.jsonl"
    twin = start(f"open?firmware=cpython&start=1,2.5,0&truth={truth}")
    twin.port.write(b"f")
    time.sleep(0.3)
    twin.port.write(b"h")
    time.sleep(2.0)
    twin.end()
    last = json.loads(truth.read_text().splitlines()[-1])
    assert abs(last["left_m_s"]) < 0.02


def test_reboot_gives_a_new_boot_id_and_cause_and_counts_from_zero(start):
    twin = start("open?firmware=cpython&start=1,2.5,0")
    first, _ = twin.boot(b"r")
    twin.port.write(b"f")
    time.sleep(0.7)
    assert twin.body()[9] > 300
    second, _ = twin.boot(b"r")
    assert int(second["boot_id"]) == (int(first["boot_id"]) + 1) % 2**30
    assert first["reset_cause"] == second["reset_cause"] == "3"
    assert second["uid"] == first["uid"]
    time.sleep(0.2)
    assert abs(twin.body()[9]) < 300  # what is left of the roll-out


def test_a_crash_is_told_and_repaired(start):
    twin = start("open?firmware=cpython")
    arguments, _ = twin.boot(b"x")
    assert arguments["reset_cause"] == "4"
    twin.end()
    assert "status 7" in twin.process.stderr.read()


def test_a_firmware_that_cannot_start_ends_the_twin(tmp_path):
    (tmp_path / "main.py").write_text("raise SystemExit(5)\n")
    twin = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path), "open?firmware=cpython", "--stay"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert twin.returncode == 1
    assert "status 5" in twin.stderr


@pytest.mark.parametrize("way", ["stdin", "SIGTERM", "SIGINT"])
def test_it_ends_and_leaves_nothing(start, tmp_path, way):
    link = tmp_path / "robot"
    twin = start("open?firmware=cpython", "--link", str(link))
    assert str(link.readlink()) == twin.description["port"]
    firmware_pid = twin.boot(b"r")[1]["pid"]
    if way == "stdin":
        twin.process.stdin.close()
    else:
        twin.process.send_signal(getattr(signal, way))
    assert twin.process.wait(PATIENCE_S) == 0
    assert not link.is_symlink()
    assert gone(firmware_pid)


def test_a_killed_twin_takes_the_firmware_with_it(start):
    twin = start("open?firmware=cpython")
    firmware_pid = twin.boot(b"r")[1]["pid"]
    twin.process.kill()
    twin.process.wait()
    assert gone(firmware_pid)


def test_with_stay_it_outlives_its_standard_input(start):
    twin = start("open?firmware=cpython", "--stay", stdin=subprocess.DEVNULL)
    assert twin.body()
    with pytest.raises(subprocess.TimeoutExpired):
        twin.process.wait(0.5)


def test_nobody_listening_harms_nothing(start):
    twin = start("open?firmware=cpython")
    twin.port.close()
    time.sleep(0.3)
    twin.port.open()
    assert twin.body()


def test_a_file_in_the_way_of_the_link_is_kept(tmp_path):
    occupied = tmp_path / "robot"
    occupied.write_text("mine")
    twin = subprocess.run(
        [sys.executable, "-c", RUN, str(HERE / "stub_firmware"), "open?firmware=cpython", "--link", str(occupied)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert twin.returncode == 1
    assert "no symbolic link" in twin.stderr
    assert occupied.read_text() == "mine"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("maze", "cluttered"),
        ("open?sped=2", "speed"),
        ("open?speed=0", "0.05 to 20"),
        ("open?start=9,9,0", "free place"),
    ],
)
def test_bad_arguments_are_explained(spec, told):
    twin = subprocess.run(
        [sys.executable, "-m", "jepa_bridge.twin", spec],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ, PYTHONPATH=str(HOST)),
    )
    assert twin.returncode == 2
    assert told in twin.stderr
    assert "Traceback" not in twin.stderr
