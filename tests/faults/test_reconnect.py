"""A cable is pulled and comes back: who is looked for, who is found, and who may move."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.faults.drive import Drive
from jepa_bridge.faults.rig import Rig, wait_for
from jepa_bridge.link import Reopener
from jepa_bridge.link.link import RECONNECT_FIRST_S, RECONNECT_MOST_S
from jepa_bridge.link.schema import ResetCause
from jepa_bridge.record import read_log

PROGRAM = [sys.executable, "-c", "from jepa_bridge.cli import main; main()"]


@pytest.fixture
def drive():
    """A drive at full speed, which looks for a robot that goes away."""
    drives = []

    def start(**options):
        rig = Rig()
        drives.append(Drive(rig, reopen=rig.open, **options))
        drives[-1].wait_full_speed()
        return drives[-1]

    yield start
    for one in drives:
        one.__exit__()


def noted(drive, text):
    wait_for(lambda: any(text in note for note in drive.notes), f"a note of {text!r}", 8)


def test_it_stays_disarmed_until_a_person_says_so_and_a_word_said_too_early_counts_for_nothing(drive):
    one = drive(how_to_arm="press the key")
    one.run.permit()
    one.rig.stopped_after_ms(one.rig.proxy.cut())
    noted(one, "link lost")
    one.run.permit()
    one.rig.proxy.replug()
    noted(one, "disarmed; press the key")
    assert one.rig.proxy.path in one.notes[-1]
    one.rig.stays_at_rest(0.5, "back")
    one.run.permit()
    one.wait_full_speed()
    said = [note.split(":")[0].split(" on ")[0] for note in one.notes]
    assert said == ["link lost", "the robot is back", "armed again"]


def test_with_a_standing_permission_it_drives_on_each_time(drive):
    one = drive(rearm=True)
    for _ in range(2):
        one.rig.stopped_after_ms(one.rig.proxy.cut())
        one.rig.proxy.replug()
        one.wait_full_speed()
    assert one.run.link.stats().reconnects == 2


@pytest.mark.parametrize("away_s", [0.2, 3.0])
def test_a_robot_is_soon_back_whether_or_not_it_still_holds_its_session(drive, away_s, record_property):
    one = drive()
    began_s = one.rig.proxy.cut()
    one.rig.stopped_after_ms(began_s)
    time.sleep(max(0.0, began_s + away_s - time.monotonic()))
    began_s = one.rig.proxy.replug()
    wait_for(lambda: one.run.link.ready() or one.error, "it is back", 8)
    record_property("back_s", time.monotonic() - began_s)
    print(f"away {away_s} s, back after {time.monotonic() - began_s:.2f} s")
    noted(one, "disarmed")
    one.rig.stays_at_rest(0.3, "back")


def test_a_robot_that_restarted_meanwhile_ends_the_run_whatever_was_permitted(drive):
    one = drive(rearm=True)
    one.rig.proxy.cut()
    one.rig.robot.tell(reset=int(ResetCause.BROWNOUT))
    one.rig.proxy.replug()
    error = one.ended(8)
    assert error is not None
    assert (error.code, error.status) == ("robot-restarted", Exit.LINK_LOST)
    assert "brownout" in error.message
    one.rig.stays_at_rest(0.3, "after the restart")


def test_a_robot_that_does_not_come_back_ends_the_run(drive):
    one = drive(reconnect_s=0.5)
    began_s = time.monotonic()
    one.rig.proxy.cut()
    error = one.ended(8)
    assert error is not None
    assert error.code == "link-lost"
    assert 0.5 < time.monotonic() - began_s < 4


def test_another_robot_on_the_port_is_not_armed():
    with Rig() as first, Rig(uid="0102030405060708") as other:
        rigs = [first]

        def reopen():
            return rigs[0].open()

        with Drive(first, reopen=reopen, rearm=True) as one:
            one.wait_full_speed()
            rigs[0] = other
            first.proxy.cut()
            error = one.ended(8)
            assert error is not None
            assert error.code == "different-robot"
            assert other.sent["robot"].total == 0
            other.stays_at_rest(0.2, "another robot")


def test_the_search_backs_off():
    tried = []
    with Rig() as rig:

        def reopen():
            tried.append(time.monotonic())
            raise BridgeError("port-missing", "gone")

        with Drive(rig, reopen=reopen, reconnect_s=1.8) as one:
            one.wait_full_speed()
            began_s = one.rig.proxy.cut()
            one.ended(8)
    waits = [after - before for before, after in zip([began_s, *tried], tried, strict=False)]
    assert waits[0] >= RECONNECT_FIRST_S
    assert all(after > 1.5 * before for before, after in pairwise(waits))
    assert 4 <= len(tried) <= 6
    assert RECONNECT_MOST_S == 2.0


# ---- under which name ----


@dataclass
class Listed:
    device: str
    vid: int | None
    pid: int | None = 1
    serial_number: str | None = "a"


class Ports:
    """What the system lists, and which of it opens."""

    def __init__(self, *listed, opens=()):
        self.listed, self.opens, self.tried = list(listed), set(opens), []

    def open(self, name, baud):
        self.tried.append(name)
        if name not in self.opens:
            raise BridgeError("port-missing", name)
        return f"{name} at {baud}"

    def reopener(self, url):
        return Reopener(url, 9600, listed=lambda: self.listed, opener=self.open)


def test_an_adapter_is_found_under_another_name_by_what_it_is():
    ports = Ports(Listed("/dev/ttyUSB0", 0x10C4), Listed("/dev/ttyUSB7", 0x1234), Listed("/dev/ttyS0", None))
    reopen = ports.reopener("/dev/ttyUSB0")
    ports.listed = [Listed("/dev/ttyUSB7", 0x1234), Listed("/dev/ttyUSB1", 0x10C4), Listed("/dev/ttyS0", None)]
    ports.opens = {"/dev/ttyUSB1", "/dev/ttyUSB7", "/dev/ttyS0"}
    assert reopen() == "/dev/ttyUSB1 at 9600"
    assert ports.tried == ["/dev/ttyUSB0", "/dev/ttyUSB1"], "no other device is opened: that may reset it"


@pytest.mark.parametrize("url", ["/dev/ttyS0", "/dev/pts/3", "socket://robot:1234"])
def test_what_has_no_identity_is_known_by_its_name_alone(url):
    ports = Ports(Listed("/dev/ttyS0", None), Listed("/dev/ttyS1", None), opens={"/dev/ttyS1"})
    with pytest.raises(BridgeError):
        ports.reopener(url)()
    assert ports.tried == [url]


# ---- the program ----


def test_the_program_drives_on_over_a_cut_and_its_log_replays(tmp_path):
    port = "chaos://cut=3:0.5@sim://open?seed=1"
    options = ["--port", port, "--goal", "4,4", "--json", "--rearm", "--time-limit", "9", "--log", str(tmp_path)]
    ran = subprocess.run([*PROGRAM, *options], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == Exit.OK, ran.stdout + ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["link"]["reconnects"] == 1
    assert summary["distance_m"] > 1
    assert "armed again" in ran.stderr
    (log,) = tmp_path.glob("*.mcap")
    replayed = subprocess.run(
        [*PROGRAM, "replay", "--check", "--json", str(log)], capture_output=True, text=True, timeout=60, check=False
    )
    assert replayed.returncode == Exit.OK, replayed.stdout
    assert read_log(log).bytes_lost == 0


@pytest.fixture
def program(tmp_path):
    """`jepa-bridge` at a robot with a steady name, as udev gives; what it said, and its end."""
    processes = []

    def start(rig, *options, stdin=subprocess.DEVNULL):
        command = [*PROGRAM, "--port", str(tmp_path / "robot"), "--goal", "4,4", "--no-log", "--quiet", *options]
        errors = (tmp_path / "errors").open("w")
        processes.append(subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=errors))
        wait_for(lambda: any(rig.robot.outputs[-1][1:]), "movement", 20)
        return processes[-1], lambda: (tmp_path / "errors").read_text().replace("\n", " ")

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_the_program_arms_again_at_a_signal_and_not_before(program, tmp_path):
    with Rig(symlink=tmp_path / "robot") as rig:
        process, said = program(rig)
        process.send_signal(signal.SIGUSR2)  # nobody asked
        rig.stopped_after_ms(rig.proxy.cut())
        wait_for(lambda: "Looking for the robot" in said(), "it says so")
        rig.proxy.replug()
        wait_for(lambda: f"kill -USR2 {process.pid}" in said(), "it says how to go on", 8)
        rig.stays_at_rest(0.5, "back")
        process.send_signal(signal.SIGUSR2)
        wait_for(lambda: any(rig.robot.outputs[-1][1:]), "movement")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == Exit.INTERRUPTED


def test_the_program_arms_again_at_enter(program, tmp_path):
    keyboard, terminal = os.openpty()
    with Rig(symlink=tmp_path / "robot") as rig:
        _, said = program(rig, stdin=terminal)
        os.write(keyboard, b"\n")  # nobody asked
        rig.stopped_after_ms(rig.proxy.cut())
        rig.proxy.replug()
        wait_for(lambda: "press Enter" in said(), "it says how to go on", 8)
        rig.stays_at_rest(0.5, "back")
        os.write(keyboard, b"\n")
        wait_for(lambda: any(rig.robot.outputs[-1][1:]), "movement")
    os.close(keyboard)
    os.close(terminal)
