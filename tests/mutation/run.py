"""Run the tests that hold the safety code against every mutant of it.

    python tests/mutation/run.py                          all of them
    python tests/mutation/run.py --seconds 45 --seed 7    as many as fit, drawn at random
    python tests/mutation/run.py --only safety            one module

Each mutant lives in a forked child, in memory only: the child's imports get the mutant instead of the file. It is
killed if a test fails, if it does not end, or if it takes too much memory. A mutant that no test notices must stand in
survivors.toml with the reason; one that is listed and gets killed, or no longer exists, must go from there.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import json
import os
import random
import resource
import signal
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from mutants import Mutant, mutants
from standard import DESELECTED, ROOT, Target, targets

if TYPE_CHECKING:
    from types import CodeType, ModuleType

SURVIVORS = Path(__file__).with_name("survivors.toml")
MEMORY_BYTES = 4 << 30  # of addresses; a mutant that appends for ever ends here
CPU_S_MIN = 5.0


class _Exchange(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a compiled mutant."""

    def __init__(self, module: str, path: Path, code: CodeType) -> None:
        self.module, self.path, self.code = module, path, code

    def find_spec(self, name: str, _path: Any, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.module:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.path))

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


def verdict(target: Target, code: CodeType, cpu_s: float) -> tuple[str, float]:
    """("survived", "killed" or "did not end", CPU seconds) of one mutant."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 2))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            silence = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(silence, descriptor)
            status = _tested(target, code)
        finally:
            os._exit(status)
    _, how, used = os.wait4(child, 0)
    spent = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(how):
        return ("did not end" if os.WTERMSIG(how) in (signal.SIGXCPU, signal.SIGKILL) else "killed"), spent
    return ("survived" if os.WEXITSTATUS(how) == 0 else "killed"), spent


def _tested(target: Target, code: CodeType) -> int:
    import pytest

    assert target.module not in sys.modules, "imported before the fork: the mutant would not be seen"
    sys.meta_path.insert(0, _Exchange(target.module, target.path, code))
    quiet = ["-q", "-x", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:timeout", "-o", "addopts="]
    # the fewer exceptions are told of, the sooner the next mutant comes
    skipped = [f"--deselect={name}" for name in DESELECTED]
    return int(pytest.main([*quiet, "--tb=no", "--no-header", *skipped, *target.tests]))


def reasons() -> dict[str, str]:
    """Name of each mutant that is known to survive -> why that is right."""
    if not SURVIVORS.exists():
        return {}
    found: dict[str, str] = {}
    for group in tomllib.loads(SURVIVORS.read_text()).get("group", []):
        for name in group["mutants"]:
            assert name not in found, f"listed twice: {name}"
            found[name] = group["reason"]
    return found


def prepare() -> None:
    """Import in the parent what every child needs, and nothing that is mutated."""
    os.chdir(ROOT)
    sys.path.insert(1, str(ROOT / "host"))
    import cbor2  # noqa: F401
    import hypothesis
    import pytest  # noqa: F401

    # the same draws for every mutant, or a verdict would depend on luck
    hypothesis.settings.register_profile("mutation", derandomize=True, database=None, max_examples=60, deadline=None)
    hypothesis.settings.load_profile("mutation")


def main() -> int:
    """Print every survivor without a reason; 1 if there is any, or a reason without a survivor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="stop after so long; mutants come in random order")
    parser.add_argument("--seed", type=int, default=0, help="of that order")
    parser.add_argument("--only", action="append", help="a module, as in `safety` or `jepa_bridge.link.codec`")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    prepare()
    known = reasons()
    chosen = [target for target in targets() if not options.only or target.module in options.only]
    work: list[tuple[Target, Mutant]] = []
    cpu_s: dict[str, float] = {}
    for target in chosen:
        source = target.path.read_text()
        sound, spent = verdict(target, compile(source, str(target.path), "exec"), 60)
        if sound != "survived":
            print(f"{target.module}: its tests fail without any mutant")
            return 1
        cpu_s[target.module] = max(CPU_S_MIN, 4 * spent)
        work += [(target, mutant) for mutant in mutants(target.module, source)]
    total = len(work)
    missing = sorted(set(known) - {mutant.name for _, mutant in work}) if not options.only else []
    if options.seconds:
        random.Random(options.seed).shuffle(work)
    return _run(work, total, cpu_s, known, missing, options)


def _run(
    work: list[tuple[Target, Mutant]],
    total: int,
    cpu_s: dict[str, float],
    known: dict[str, str],
    missing: list[str],
    options: argparse.Namespace,
) -> int:
    started = time.monotonic()
    counts: dict[str, dict[str, int]] = {}
    unlisted, stale, said = [], [], started
    for done, (target, mutant) in enumerate(work, 1):
        how, _ = verdict(target, mutant.code, cpu_s[target.module])
        row = counts.setdefault(target.module, {"mutants": 0, "killed": 0, "did not end": 0, "survived": 0})
        row["mutants"] += 1
        row[how] += 1
        if how == "survived" and mutant.name not in known:
            unlisted.append(mutant.name)
            print(f"survived: {mutant.name}", flush=True)
        elif how != "survived" and mutant.name in known:
            stale.append(mutant.name)
            print(f"listed as survivor, but {how}: {mutant.name}", flush=True)
        now = time.monotonic()
        if now - said > 20:
            said = now
            print(f"{done}/{total}, {(now - started) / done * (total - done):.0f} s to go for all", flush=True)
        if options.seconds and now - started > options.seconds:
            break
    for name in missing:
        print(f"listed as survivor, but there is no such mutant: {name}")
    tested = sum(row["mutants"] for row in counts.values())
    print(f"{'module':26}{'mutants':>9}{'killed':>9}{'no end':>9}{'survived':>9}")
    for module, row in sorted(counts.items()):
        print(f"{module:26}" + "".join(f"{row[key]:9}" for key in ("mutants", "killed", "did not end", "survived")))
    print(
        f"{tested} of {total} mutants in {time.monotonic() - started:.0f} s: {len(unlisted)} survived without a reason"
    )
    if options.json:
        options.json.write_text(json.dumps({"total": total, "tested": tested, "modules": counts}, indent=1) + "\n")
    return 1 if unlisted or stale or missing else 0


if __name__ == "__main__":
    sys.exit(main())
