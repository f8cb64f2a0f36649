"""Every branch of the safety code and of both codecs is run by the tests that answer for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from standard import DESELECTED, ROOT, Target, targets

if TYPE_CHECKING:
    from pathlib import Path

# these find what others miss, but not by running more lines; under a tracer they would take most of the time
UNNEEDED = ("tests/firmware/test_safety_model.py", "tests/link/test_codec.py")


def missing_branches(chosen: list[Target], tests: list[str], folder: Path) -> dict[str, object]:
    """What the tests did not run: for each file, lines and branches."""
    configuration = folder / "coveragerc"
    # our own configuration: no pragma in a file excludes a line of it
    configuration.write_text(
        "[run]\nbranch = True\ndata_file = "
        + str(folder / "data")
        + "\n[report]\nexclude_lines =\n    if TYPE_CHECKING:\n"
    )
    files = ",".join(str(target.path) for target in chosen)
    coverage = [sys.executable, "-m", "coverage"]
    rc = f"--rcfile={configuration}"
    skipped = [f"--deselect={name}" for name in DESELECTED]
    pytest_command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:timeout", "-o", "addopts=", *skipped]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "host")}
    run = [*coverage, "run", rc, f"--include={files}", *pytest_command, *tests]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    report = folder / "report.json"
    subprocess.run([*coverage, "json", rc, "-q", "-o", report], cwd=ROOT, timeout=60, check=True)
    found = json.loads(report.read_text())["files"]
    missing: dict[str, object] = {}
    for target in chosen:
        name = str(target.path.relative_to(ROOT))
        if name not in found:
            missing[name] = "never imported"
        elif found[name]["missing_lines"] or found[name]["missing_branches"]:
            missing[name] = (found[name]["missing_lines"], found[name]["missing_branches"])
    return missing


def test_every_branch_of_the_safety_code_and_both_codecs_is_run(tmp_path: Path) -> None:
    chosen = targets()
    tests = sorted({test for target in chosen for test in target.tests} - set(UNNEEDED))
    assert missing_branches(chosen, tests, tmp_path) == {}


def test_a_branch_that_no_test_runs_is_found(tmp_path: Path) -> None:
    (safety,) = (target for target in targets() if target.module == "safety")
    tests = ["tests/firmware/test_firmware_safety.py::test_boot_ends_in_idle"]
    assert missing_branches([safety], tests, tmp_path)
