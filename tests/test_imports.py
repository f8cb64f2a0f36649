"""Who may import whom, and what may not be imported at all by a bridge on a Pi."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "host" / "jepa_bridge"
SHARED = {"types", "errors", "resources", "__version__"}
MAY_IMPORT = {
    "link": set(),
    "world": set(),
    "record": {"link"},
    "plan": {"world"},
    "drive": {"link", "plan", "record", "world"},
    "twin": {"link"},
    "learn": {"world", "plan", "twin"},
    "faults": {"link", "world", "plan", "drive", "record", "twin"},
    "setup": {"link", "world", "plan", "drive", "record", "twin"},
    "cli": {"setup", "link", "world", "record", "plan", "drive", "twin", "learn", "faults"},
}
HEAVY = ("torch", "mujoco", "onnx", "fastapi", "onnxruntime", "numpy", "serial", "mcap", "rich", "cbor2")


def rooms_imported(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("jepa_bridge"):
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("jepa_bridge.")}
    return rooms


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_the_architecture_allows(room):
    for path in (PACKAGE / room).rglob("*.py"):
        # benchmarks drive a whole twin, so they may reach up
        allowed = MAY_IMPORT[room] | {room} | SHARED | ({"twin"} if path.name == "bench.py" else set())
        assert rooms_imported(path) <= allowed, path


def test_types_import_nothing_of_ours():
    assert rooms_imported(PACKAGE / "types.py") == set()


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy():
    loaded = modules_after("from jepa_bridge.cli import cli; cli.main(['--help'], standalone_mode=False)")
    assert "click" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize(
    "verb",
    ["replay", "log", "twin", "collect", "train", "export", "eval", "bench", "ports", "config", "doctor", "service"],
)
def test_a_verbs_help_imports_nothing_heavy(verb):
    loaded = modules_after(f"from jepa_bridge.cli import cli; cli.main(['{verb}', '--help'], standalone_mode=False)")
    assert not loaded & set(HEAVY)


def test_driving_imports_no_optional_package():
    loaded = modules_after("import jepa_bridge.cli.drive, jepa_bridge.cli.replay, jepa_bridge.drive.replay")
    assert not loaded & {"torch", "mujoco", "onnx", "fastapi"}
