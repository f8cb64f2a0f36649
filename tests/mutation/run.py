"""Run the tests that hold the safety code against every mutant of it.

    python tests/mutation/run.py                          all of them
    python tests/mutation/run.py --seconds 45 --seed 7    as many as fit, drawn at random
    python tests/mutation/run.py --only safety            one module

A mutant is killed if a test fails, if it does not end, or if it takes too much memory. One that no test notices must
stand in survivors.toml with the reason; one that is listed and gets killed, or no longer exists, must go from there.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from mutants import Mutant, mutants
from standard import ROOT, Target, targets
from trials import Trials

SURVIVORS = Path(__file__).with_name("survivors.toml")
VERDICTS = ("killed", "did not end", "survived")


def reasons(path: Path) -> dict[str, str]:
    """Name of each mutant that is known to survive -> why that is right."""
    found: dict[str, str] = {}
    for group in tomllib.loads(path.read_text()).get("group", []):
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

    # the same draws for every mutant, or a verdict would depend on luck
    hypothesis.settings.register_profile("mutation", derandomize=True, database=None, max_examples=60, deadline=None)
    hypothesis.settings.load_profile("mutation")


class Run:
    """What is told while mutants are tried, and counted for the end."""

    def __init__(self, known: dict[str, str], total: int) -> None:
        self.known, self.total = known, total
        self.wrong = 0
        self.done = 0
        self.started = self.said = time.monotonic()

    def told(self, mutant: Mutant, how: str) -> None:
        """One more verdict."""
        self.done += 1
        if how == "survived" and mutant.name not in self.known:
            self.complain(f"survived: {mutant.name}")
        elif how != "survived" and mutant.name in self.known:
            self.complain(f"listed as survivor, but {how}: {mutant.name}")
        now = time.monotonic()
        if now - self.said > 20:
            self.said = now
            to_go_s = (now - self.started) / self.done * (self.total - self.done)
            print(f"{self.done} of {self.total}, {to_go_s:.0f} s to go for all", flush=True)

    def complain(self, text: str) -> None:
        """Something that makes the run fail."""
        self.wrong += 1
        print(text, flush=True)


def main() -> int:
    """Print every survivor without a reason; 1 if there is any, or a reason without a survivor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="stop after so long; mutants come in random order")
    parser.add_argument("--seed", type=int, default=0, help="of that order")
    parser.add_argument("--only", action="append", help="a module, as in `safety` or `jepa_bridge.link.codec`")
    parser.add_argument("--survivors", type=Path, default=SURVIVORS, help="those that are known, with reasons")
    options = parser.parse_args()
    prepare()
    known = reasons(options.survivors)
    chosen = [target for target in targets() if not options.only or target.module in options.only]
    made = {target.module: list(mutants(target.module, target.path.read_text())) for target in chosen}
    run = Run(known, sum(map(len, made.values())))
    names = {mutant.name for row in made.values() for mutant in row}
    for name in known:
        if name not in names and any(_is_of(name, target) for target in chosen):
            run.complain(f"listed as survivor, but there is no such mutant: {name}")
    table = []
    for target in chosen:
        row, seconds = made[target.module], None
        if options.seconds:
            random.Random(f"{options.seed} {target.module}").shuffle(row)
            seconds = options.seconds * len(row) / run.total
        trials = Trials(target, row, seconds, run.told)
        trials.run()
        if not trials.sound:
            run.complain(f"{target.module}: its tests fail without any mutant")
        table.append((target.module, len(row), Counter(how for _, how in trials.done)))
    _print_table(table, run)
    return 1 if run.wrong else 0


def _is_of(name: str, target: Target) -> bool:
    return name.startswith((f"{target.module}:", f"{target.module}."))


def _print_table(table: list[tuple[str, int, Counter[str]]], run: Run) -> None:
    print(f"{'module':26}{'mutants':>9}{'tried':>9}" + "".join(f"{how:>13}" for how in VERDICTS))
    for module, made, counts in table:
        print(f"{module:26}{made:9}{counts.total():9}" + "".join(f"{counts[how]:13}" for how in VERDICTS))
    sums: Counter[str] = sum((counts for _, _, counts in table), Counter())
    print(f"{'all':26}{run.total:9}{sums.total():9}" + "".join(f"{sums[how]:13}" for how in VERDICTS))
    print(f"{time.monotonic() - run.started:.0f} s, {run.wrong} without a reason or out of date")


if __name__ == "__main__":
    sys.exit(main())
