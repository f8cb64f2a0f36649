"""A sample of the mutants in every run, drawn anew each day; `python tests/mutation/run.py` does all of them."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import mutants
from standard import targets

RUN = Path(__file__).with_name("run.py")
SAMPLE_S = 40


def names(source: str) -> list[str]:
    return [mutant.name for mutant in mutants("m", source)]


def test_a_sample_of_mutants_is_killed() -> None:
    seed = dt.datetime.now(dt.UTC).date().toordinal()
    command = [sys.executable, RUN, f"--seconds={SAMPLE_S}", f"--seed={seed}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_a_suite_that_misses_a_mutant_fails(tmp_path: Path) -> None:
    """Without a list of survivors, the known ones have no reason."""
    empty = tmp_path / "survivors.toml"
    empty.write_text("")
    command = [sys.executable, RUN, "--only=ticks", f"--survivors={empty}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "survived: ticks.add: " in done.stdout
    empty.write_text('[[group]]\nreason = "none"\nmutants = ["ticks: nonsense"]\n')
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "there is no such mutant: ticks: nonsense" in done.stdout


def test_every_mutant_has_a_name_of_its_own() -> None:
    found = [mutant.name for target in targets() for mutant in mutants(target.module, target.path.read_text())]
    assert len(found) == len(set(found)) > 2000


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a):\n    return a < 1", ["nothing", "a <= 1", "a >= 1", "a < 2", "a < 0", "return None"]),
        ("def f(a, b):\n    a += b", ["nothing", "a -= b"]),
        ("def f(a, b):\n    a = b and not a", ["b or not a", "True and", "b and True", "b and a"]),
        ("def f(a):\n    if a:\n        raise a", ["if not a", "nothing"]),
        ("A = const(7)", ["const(8)", "const(6)"]),
        ("A = -3", ["A = 3"]),
        ("def f(a):\n    while not a:\n        a.b()\n        break", ["while a", "nothing"]),
    ],
)
def test_each_kind_of_fault_is_made(source: str, expected: list[str]) -> None:
    found = [name.split("  ->  ")[1] for name in names(source)]
    for part in expected:
        assert any(part in name for name in found), part


def test_what_is_no_behaviour_is_left_alone() -> None:
    assert names('"""Text 1."""\nimport a\n\n\ndef f(b: int = None) -> None:\n    """Text."""\n    pass\n') == []
