"""firmware/README.md says what the files say: pins, codes, options, tolerances."""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
from program import PROGRAM, run

from jepa_bridge.resources import shipped
from jepa_bridge.setup.doctor.finding import CODES
from jepa_bridge.setup.flash_plan import boards

FIRMWARE = shipped("firmware")
TEXT = (FIRMWARE / "README.md").read_text()


def wiring() -> dict[str, dict[str, list[int]]]:
    """{board: {first words of the line: pins}}."""
    lines = TEXT.split("<!-- wiring -->\n")[1].split("\n\n")[0].splitlines()
    head, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]
    return {
        board: {row[0]: [int(pin) for pin in row[1 + i].split(",") if pin.strip() != "-"] for row in rows}
        for i, board in enumerate(head[1:])
    }


def pins(board: str) -> dict[str, list[int]]:
    tree = ast.parse((FIRMWARE / "boards" / f"{board}.py").read_text())
    table = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "PINS")
    found = ast.literal_eval(table)
    return {
        part: [] if value is None else [value] if isinstance(value, int) else list(value)
        for part, value in found.items()
    }


def test_the_wiring_table_is_that_of_the_board_files():
    told = wiring()
    assert sorted(told) == boards()
    for board, lines in told.items():
        for part, numbers in pins(board).items():
            (line,) = [line for line in lines if line.startswith(part)]
            assert lines[line] == numbers, (board, part)
        named = set(pins(board))
        assert all(not numbers for line, numbers in lines.items() if not line.startswith(tuple(named)))


def test_every_code_of_doctor_is_explained():
    for code in CODES:
        assert code.endswith("-ok") or f"`{code}`" in TEXT, code


def test_the_codes_of_flash_and_calibrate_exist():
    sources = "".join(path.read_text() for path in (Path(__file__).parents[2] / "host/jepa_bridge/setup").glob("*.py"))
    tail = TEXT.split("Of `flash`:")[1].split("##")[0]
    codes = re.findall(r"`([a-z]+-[a-z-]+)`", tail)
    assert len(codes) >= 10
    for code in codes:
        assert f'"{code}"' in sources, code


@pytest.mark.parametrize("verb", ["flash", "calibrate"])
def test_help_has_examples(verb):
    told = run(verb, "--help").stdout
    assert told.count(f"jepa-bridge {verb} --port") >= 2


def test_the_shell_completes_verbs():
    import subprocess

    environment = {
        **os.environ,
        "_JEPA_BRIDGE_COMPLETE": "bash_complete",
        "COMP_WORDS": "jepa-bridge cali",
        "COMP_CWORD": "1",
    }
    code = "import sys; sys.argv[0] = 'jepa-bridge'; " + PROGRAM[2]
    told = subprocess.run([PROGRAM[0], "-c", code], env=environment, capture_output=True, text=True, check=False).stdout
    assert "plain,calibrate" in told
