"""Progress with an estimate of the time left, for verbs that take long."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLAIN_PERIOD_S = 10.0


@contextmanager
def progress(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int, str], None]]:
    """A callback `(done, total, message)`: a bar on a terminal, a line every ten seconds elsewhere, on stderr."""
    if quiet:
        yield lambda *_: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}"),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=None, message="")
            yield lambda done, total, message: bar.update(task, completed=done, total=total, message=message)
    else:
        yield _plain(title)


def _plain(title: str) -> Callable[[int, int, str], None]:
    begun_s = time.monotonic()
    first: int | None = None
    next_s = begun_s

    def show(done: int, total: int, message: str) -> None:
        nonlocal first, next_s
        now_s = time.monotonic()
        first = done if first is None else first  # what an earlier run had done took no time of this one
        if now_s < next_s and done < total:
            return
        next_s = now_s + PLAIN_PERIOD_S
        left = f", {(now_s - begun_s) / (done - first) * (total - done):.0f} s left" if done > first else ""
        print(f"{title}: {done}/{total}{left}  {message}", file=sys.stderr, flush=True)  # noqa: T201

    return show
