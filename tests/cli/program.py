"""Run the program as its user does: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = [sys.executable, "-c", "from jepa_bridge.cli import main; main()"]


def run(
    *arguments: str, timeout_s: float = 120.0, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def error_of(ran: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """The error that `--json` printed; no traceback anywhere."""
    assert "Traceback" not in ran.stderr + ran.stdout, ran.stderr
    return json.loads(ran.stdout)["error"]
