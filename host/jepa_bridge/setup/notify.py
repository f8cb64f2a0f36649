"""Tells systemd how the bridge does: a datagram to NOTIFY_SOCKET, nothing where there is no such socket.

The watchdog is fed from the turns of the control loop: a loop that hangs is a service that is restarted. The robot has
stopped by itself long before.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BEATS = 4  # in one watchdog time: three may be late


class Notifier:
    """One service. Never raises, never waits."""

    def __init__(
        self, environment: Mapping[str, str] = os.environ, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._now_s = now_s
        self._ready = False
        self._due_s = 0.0
        self.beat_s: float | None = None  # between two beats; None: nobody waits for them
        period_us = environment.get("WATCHDOG_USEC", "")
        for_us = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        if self._address and period_us.isdecimal() and int(period_us) > 0 and for_us:
            self.beat_s = int(period_us) / 1e6 / BEATS

    def status(self, text: str) -> None:
        """One line for `systemctl status`; the first one says that the service is up."""
        ready = "" if self._ready else "READY=1\n"
        self._ready = True
        self._send(f"{ready}STATUS={' '.join(text.split())}")

    def beat(self) -> None:
        """The loop turned."""
        if self.beat_s is not None and (now_s := self._now_s()) >= self._due_s:
            self._due_s = now_s + self.beat_s
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The run is over; log and robot are being closed."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # an address that begins with @ is an abstract one
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(text.encode(), address)


def journaled(fd: int = 2, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether that output goes straight to the journal, which takes a priority as `<4>` at a line's beginning."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"
