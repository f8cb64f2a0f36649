"""The whole path as its user runs it: twin, real firmware, plan, drive, log, replay, and every way out."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from program import PROGRAM, run, start

from jepa_bridge.errors import Exit
from jepa_bridge.link import decode
from jepa_bridge.link.schema import Cmd, Stop
from jepa_bridge.record import read_log

if TYPE_CHECKING:
    from pathlib import Path

# the command's expiry and the ramp (PROTOCOL.md), and how late a loaded test machine may be about it
STOPPED_WITHIN_S = 0.150 + 0.100 + 0.250


def only_log(folder: Path) -> Path:
    (log,) = folder.glob("*.mcap")
    return log


def truth_lines(path: Path) -> list[dict[str, object]]:
    lines = path.read_text().splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


@pytest.fixture
def twin(tmp_path):
    """A twin of its own, that goes on when the host dies, and writes the truth."""
    link, truth = tmp_path / "robot", tmp_path / "truth.jsonl"
    process = subprocess.Popen(
        [*PROGRAM, "twin", f"open?seed=1&truth={truth}", "--link", str(link)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    json.loads(process.stdout.readline())
    yield str(link), truth, process
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """One run to a goal: the finished process and its log."""
    folder = tmp_path_factory.mktemp("driven")
    ran = run("--port", "sim://open?seed=1&speed=2", "--goal", "4,4", "--once", "--json", "--log", str(folder))
    return ran, only_log(folder)


def test_the_twin_drives_to_a_goal(driven):
    ran, log = driven
    summary = json.loads(ran.stdout)
    assert ran.returncode == Exit.OK, ran.stdout + ran.stderr
    assert summary["reached"] is True
    assert summary["goals"][0]["reached"] is True
    assert summary["distance_m"] > 2.5
    assert summary["duration_s"] > 5
    assert summary["contacts"] == 0
    assert summary["log"] == str(log)
    assert summary["link"]["frames_bad"] == 0


def test_its_log_replays_to_the_same_commands_bit_for_bit(driven):
    _, log = driven
    ran = run("replay", "--check", "--json", str(log))
    report = json.loads(ran.stdout)
    assert ran.returncode == Exit.OK, ran.stdout
    assert report["same"] is True
    assert report["missing"] == []
    assert report["commands"] > 50
    assert report["wire_compared"] > 0.9 * report["commands"]
    assert report["plans"] > 15
    assert report["goals_reached"] == 1


def test_the_last_the_robot_hears_is_stop(driven):
    _, log = driven
    host = [decode(record.data) for record in read_log(log).records(("wire/host",))]
    last_command = max(index for index, message in enumerate(host) if isinstance(message, Cmd))
    assert any(isinstance(message, Stop) for message in host[last_command:])


def test_a_changed_command_fails_the_check(driven):
    """The check can fail: one bit of one recorded action is enough."""
    _, log = driven
    from jepa_bridge.drive.replay import Replay, RunSettings
    from jepa_bridge.world.bundle import load_named

    recording = read_log(log)
    settings = RunSettings.read(recording.metadata["run"])
    replay = Replay(recording, load_named("small"), settings)
    original = replay._on_command
    seen = []

    def tampered(recorded, t_us):
        seen.append(recorded)
        if len(seen) == 20:
            recorded = {**recorded, "left": recorded["left"] + 2**-24}
        original(recorded, t_us)

    replay._on_command = tampered  # type: ignore[method-assign]
    report = replay.run()
    assert (report.different, report.same) == (1, False)


def test_another_model_shows_where_it_would_decide_otherwise(driven, tmp_path):
    from jepa_bridge.resources import shipped

    _, log = driven
    ran = run("replay", "--json", "--model", str(shipped("models") / "small"), str(log))
    assert json.loads(ran.stdout)["same"] is True  # the same bundle by another name
    recording = read_log(log)
    assert recording.metadata["run"]["model_hash"]


def test_goals_are_driven_in_order_with_their_headings(tmp_path):
    ran = run(
        "--port", "sim://open?seed=4&speed=2", "--goal", "3,3,90", "--goal", "2,3,180", "--once", "--json",
        "--log", str(tmp_path),
    )  # fmt: skip
    assert ran.returncode == Exit.OK, ran.stdout + ran.stderr
    observed = [json.loads(record.data) for record in read_log(only_log(tmp_path)).records(("observation",))]
    reached = [json.loads(record.data) for record in read_log(only_log(tmp_path)).records(("goal",))]
    assert [goal["index"] for goal in reached] == [0, 1]
    assert abs(abs(observed[-1]["heading_rad"]) - 3.1416) < 0.4


def test_not_reached_has_a_status_of_its_own(tmp_path):
    ran = run(
        "--port", "sim://open?seed=2&speed=2", "--goal", "4,4", "--once", "--json", "--time-limit", "2",
        "--log", str(tmp_path),
    )  # fmt: skip
    assert ran.returncode == Exit.NOT_REACHED
    assert json.loads(ran.stdout)["reached"] is False
    assert only_log(tmp_path).stat().st_size > 0


def test_without_a_goal_it_looks_and_does_not_arm(tmp_path):
    ran = run("--port", "sim://open?seed=1&speed=2", "--time-limit", "3", "--json", "--log", str(tmp_path))
    assert ran.returncode == Exit.OK
    types = {type(decode(record.data)).__name__ for record in read_log(only_log(tmp_path)).records(("wire/host",))}
    assert "Arm" not in types
    assert "Cmd" not in types
    assert json.loads(ran.stdout)["distance_m"] == pytest.approx(0.0, abs=0.01)


def drive_until_it_moves(port: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    return start("--port", port, "--goal", "4,4", "--json", "--log", str(folder), *options)


def wait_for_movement(truth: Path) -> None:
    for _ in range(200):
        time.sleep(0.1)
        lines = truth_lines(truth) if truth.exists() else []
        if len(lines) > 20 and abs(lines[-1]["x_m"] - lines[0]["x_m"]) + abs(lines[-1]["y_m"] - lines[0]["y_m"]) > 0.2:
            return
    pytest.fail("the robot did not move within 20 s")


def moved_after(truth: Path, since_s: float) -> float:
    later = [line for line in truth_lines(truth) if line["monotonic_s"] > since_s]
    assert len(later) > 10
    return max(abs(line["x_m"] - later[0]["x_m"]) + abs(line["y_m"] - later[0]["y_m"]) for line in later)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.INTERRUPTED), (signal.SIGKILL, -9)]
)
def test_whatever_ends_the_program_the_wheels_stop(twin, tmp_path, number, status):
    port, truth, _ = twin
    process = drive_until_it_moves(port, tmp_path / "logs")
    wait_for_movement(truth)
    ended_s = time.monotonic()
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == status
    time.sleep(1.5)
    assert moved_after(truth, ended_s + STOPPED_WITHIN_S) < 0.01
    log = read_log(only_log(tmp_path / "logs"))
    assert sum(1 for _ in log.records(("wire/device",))) > 5  # SIGKILL loses what came since the last commit
    if number != signal.SIGKILL:
        assert json.loads(out)["ended_by"] == "interrupted"


def test_a_program_held_up_for_seconds_stops_the_robot_and_does_not_drive_on(twin, tmp_path):
    port, truth, _ = twin
    process = drive_until_it_moves(port, tmp_path / "logs")
    wait_for_movement(truth)
    held_s = time.monotonic()
    process.send_signal(signal.SIGSTOP)
    time.sleep(3.0)
    process.send_signal(signal.SIGCONT)
    out, errors = process.communicate(timeout=10)
    assert process.returncode == Exit.LINK_LOST, errors
    assert json.loads(out)["error"]["code"] == "session-lost"
    time.sleep(0.5)
    assert moved_after(truth, held_s + STOPPED_WITHIN_S) < 0.01


@pytest.mark.parametrize("reconnect_s", ["0", "1"])
def test_a_robot_that_goes_away_is_a_lost_link(twin, tmp_path, reconnect_s):
    port, truth, robot = twin
    process = drive_until_it_moves(port, tmp_path / "logs", "--reconnect", reconnect_s)
    wait_for_movement(truth)
    robot.kill()
    out, _ = process.communicate(timeout=10)
    assert process.returncode == Exit.LINK_LOST
    assert json.loads(out)["error"]["code"] == "link-lost"
