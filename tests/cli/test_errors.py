"""Bad input: one clear message with a stable code, the next step, a distinct exit status, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import tty

import pytest
from program import PROGRAM, error_of, run

from jepa_bridge.errors import Exit
from jepa_bridge.link import frame_of
from jepa_bridge.link.schema import Hello, ResetCause
from jepa_bridge.resources import shipped

HIDE = """
import sys
from importlib.machinery import PathFinder

class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] == "{package}" else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hidden
"""
DRIVE = ("--goal", "4,4", "--once", "--json", "--no-log")


@pytest.fixture
def port():
    """A pty: what the host opens, and the other end for the test to play a device."""
    device, host = os.openpty()
    tty.setraw(host)
    yield os.ttyname(host), device
    os.close(host)
    os.close(device)


def hello(**changes: object) -> Hello:
    values = {
        "seq": 0, "session": 0, "t_us": 0, "protocol_version": 1,
        "schema_hash": bytes.fromhex("00000000"), "uid": b"\x01\x02\x03\x04", "boot_id": 1,
        "firmware_version": "9.9.9", "board": "test", "reset_cause": ResetCause.POWER_ON, "uptime_ms": 0,
        "sensor_rate_hz": 50, "range_max_mm": 2000, "wheel_max": 80, "expiry_max_ms": 500, "capabilities": 0,
    }  # fmt: skip
    return Hello(**{**values, **changes})  # type: ignore[arg-type]


def received(device: int) -> bytes:
    os.set_blocking(device, False)
    try:
        return os.read(device, 10_000)
    except BlockingIOError:
        return b""


def test_a_port_that_does_not_exist():
    ran = run("--port", "/dev/ttyNOPE0", *DRIVE)
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.PORT, "port-missing")


def test_for_people_the_error_goes_to_stderr_with_the_next_step():
    ran = run("--port", "/dev/ttyNOPE0", "--goal", "4,4")
    assert ran.returncode == Exit.PORT
    assert "[port-missing]" in ran.stderr
    assert "next:" in ran.stderr
    assert ran.stdout == ""


def test_a_port_that_says_nothing(port):
    name, device = port
    ran = run("--port", name, *DRIVE)
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.NO_HELLO, "no-hello")
    assert received(device) == b"", "the host wrote to a port without HELLO"


def test_a_micropython_prompt_is_named_and_nothing_is_written_to_it(port):
    name, device = port
    threading.Timer(1.5, os.write, (device, b"MicroPython v1.28.0 on ESP32\r\n>>> ")).start()
    ran = run("--port", name, *DRIVE)
    error = error_of(ran)
    assert (ran.returncode, error["code"]) == (Exit.NO_HELLO, "no-hello")
    assert "MicroPython" in str(error["message"])
    assert received(device) == b""


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"protocol_version": 2}, "incompatible-protocol"), ({"schema_hash": b"\xde\xad\xbe\xef"}, "incompatible-schema")],
)
def test_another_protocol_or_schema_is_explained_and_gets_no_answer(port, changes, code):
    name, device = port
    threading.Timer(1.5, os.write, (device, frame_of(hello(**changes)))).start()
    ran = run("--port", name, *DRIVE)
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.INCOMPATIBLE, code)
    assert received(device) == b""


@pytest.mark.parametrize("goal", ["9,9", "-1,2", "4,5.01"])
def test_a_goal_outside_the_arena(goal):
    ran = run("--port", "sim://open", "--goal", goal, "--json", "--no-log")
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.USAGE, "goal-outside")


@pytest.mark.parametrize("goal", ["here", "1", "1,2,3,4", "nan,1", "inf,1"])
def test_a_goal_that_is_no_goal(goal):
    ran = run("--port", "sim://open", "--goal", goal)
    assert ran.returncode == Exit.USAGE
    assert "expected X,Y" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_model_that_is_not_there(tmp_path):
    ran = run("--port", "sim://open", *DRIVE, "--model", str(tmp_path / "none"))
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.MODEL, "model-missing")


def test_a_model_whose_hash_does_not_match(tmp_path):
    bundle = tmp_path / "small"
    shutil.copytree(shipped("models") / "small", bundle)
    with (bundle / "predictor.onnx").open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    ran = run("--port", "sim://open", *DRIVE, "--model", str(bundle))
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.MODEL, "model-corrupt")


@pytest.mark.parametrize("verb", [("replay",), ("log", "info")])
def test_a_log_that_is_none(tmp_path, verb):
    junk = tmp_path / "junk.mcap"
    junk.write_bytes(b"this is not a log" * 100)
    ran = run(*verb, str(junk), "--json")
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.LOG, "log-unreadable")
    ran = run(*verb, str(tmp_path / "none.mcap"), "--json")
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.LOG, "log-missing")


def test_a_log_directory_that_cannot_be_made():
    ran = run("--port", "sim://open", "--goal", "4,4", "--json", "--log", "/proc/nowhere/logs")
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.LOG, "log-directory")


def test_an_unknown_arena_or_parameter():
    for port in ("sim://moon", "sim://open?colour=red"):
        ran = run("--port", port, *DRIVE)
        assert ran.returncode == Exit.USAGE, ran.stdout
        assert error_of(ran)["hint"]


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("mujoco", ("--port", "sim://open", *DRIVE), "sim"),
        ("mujoco", ("collect", "--out", "data", "--json"), "sim"),
        ("torch", ("train", ".", "--out", "run", "--json"), "train"),
    ],
)
def test_a_missing_extra_is_answered_with_its_install_line(tmp_path, package, arguments, extra):
    # hides the installed package from this process and from those it starts
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(package=package))
    (tmp_path / "data.npz").touch()
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    ran = subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert ran.returncode == Exit.MISSING_EXTRA, ran.stderr
    error = json.loads(ran.stdout)["error"]
    assert error["code"] == "missing-extra"
    assert f"pip install 'jepa-bridge[{extra}]'" in error["hint"]


def test_no_port_waits_for_a_robot(tmp_path):
    ran = run("--model", "tiny", "--wait", "0.2", "--json", environment={"XDG_CONFIG_HOME": str(tmp_path)})
    assert ran.returncode == Exit.NO_HELLO
    assert "waiting for a robot" in ran.stderr
    error = error_of(ran)
    assert error["code"] == "no-robot"
    assert "jepa-bridge doctor" in error["hint"]
