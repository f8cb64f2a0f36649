"""A person's word that a robot that was lost and is back may move again: Enter on the terminal, or SIGUSR2."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jepa_bridge.drive.run import DriveRun

LOOK_S = 0.2


def how() -> str:
    """What to do, for the message that says that the robot is back."""
    signalled = f"kill -USR2 {os.getpid()}" if hasattr(signal, "SIGUSR2") else "start again"
    return f"press Enter to arm it again, or {signalled}" if sys.stdin.isatty() else f"to arm it again: {signalled}"


@contextmanager
def permitting(run: DriveRun) -> Iterator[None]:
    """Pass a person's word on for as long as the run lasts. Said before the robot is back, it counts for nothing."""
    ended = threading.Event()
    reader = threading.Thread(target=_read_keys, args=(run, ended), name="permission", daemon=True)
    before = signal.signal(signal.SIGUSR2, lambda *_: run.permit()) if hasattr(signal, "SIGUSR2") else None
    if sys.stdin.isatty():
        reader.start()
    try:
        yield
    finally:
        ended.set()
        if before is not None:
            signal.signal(signal.SIGUSR2, before)


def _in_foreground(fd: int) -> bool:
    """Whether the keys are for us: a program in the background that reads its terminal is stopped by the system."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # not the terminal that we were started from
        return True


def _read_keys(run: DriveRun, ended: threading.Event) -> None:
    fd = sys.stdin.fileno()
    while not ended.is_set():
        ready, _, _ = select.select([fd], [], [], LOOK_S)
        if ready and not _in_foreground(fd):
            ended.wait(LOOK_S)
        elif ready:
            if not os.read(fd, 1024):
                return
            run.permit()
