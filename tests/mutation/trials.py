"""Try mutants: each in a forked child whose imports get the mutant instead of the file.

The firmware's tests import what they test inside the test, so they are collected once and every child begins at the
first test. The host's import it at the top of the file: there each child collects for itself.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from standard import DESELECTED, Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import CodeType, ModuleType

    from mutants import Mutant

MEMORY_BYTES = 4 << 30  # of addresses; a mutant that appends for ever ends here
CPU_S_MIN = 1.0
QUIET = ["-q", "-x", "-s", "--assert=plain", "--tb=no", "--no-header", "--no-summary", "-o", "addopts="]
QUIET += ["-p", "no:cacheprovider", "-p", "no:timeout"]


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


def _verdict(target: Target, code: CodeType, cpu_s: float, test: Callable[[], int]) -> tuple[str, float]:
    """("survived", "killed" or "did not end", CPU seconds) of one mutant. `test` runs in a child; 0 if all passed."""
    assert target.module not in sys.modules, "imported before the fork: the mutant would not be seen"
    child = os.fork()
    if child == 0:
        status = 99
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 2))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            silence = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(silence, descriptor)
            sys.meta_path.insert(0, _Exchange(target.module, target.path, code))
            status = test()
        finally:
            os._exit(status)
    _, how, used = os.wait4(child, 0)
    spent_s = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(how):
        return ("did not end" if os.WTERMSIG(how) in (signal.SIGXCPU, signal.SIGKILL) else "killed"), spent_s
    return ("survived" if os.WEXITSTATUS(how) == 0 else "killed"), spent_s


@dataclass
class Trials:
    """The mutants of one module, tried one after the other; a plugin of the pytest that collects its tests."""

    target: Target
    mutants: list[Mutant]
    seconds: float | None
    told: Callable[[Mutant, str], None]
    sound: bool = False  # whether the tests pass without any mutant
    done: list[tuple[Mutant, str]] = field(default_factory=list)

    def run(self) -> None:
        """Try them all, or as many as fit into the time."""
        options = [*QUIET, *(f"--deselect={name}" for name in DESELECTED), *self.target.tests]
        if "." in self.target.module:
            self._try_all(lambda: int(pytest.main(options)))
        else:
            pytest.main(options, plugins=[self])

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the tests: run them once for each mutant."""
        if not session.testsfailed:
            self._try_all(lambda: _run_items(session))
        return True

    def _try_all(self, test: Callable[[], int]) -> None:
        source = self.target.path.read_text()
        how, spent_s = _verdict(self.target, compile(source, str(self.target.path), "exec"), 60, test)
        self.sound = how == "survived"
        started = time.monotonic()
        for mutant in self.mutants if self.sound else []:
            if self.seconds is not None and time.monotonic() - started > self.seconds:
                break
            how, _ = _verdict(self.target, mutant.code, max(CPU_S_MIN, 2.5 * spent_s), test)
            self.done.append((mutant, how))
            self.told(mutant, how)


def _run_items(session: pytest.Session) -> int:
    """All collected tests up to the first that fails; 0 if none does."""
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return 1
    return 0
