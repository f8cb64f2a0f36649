"""The fault proxy: a pseudo-terminal for the host, the robot's port behind it, and a bad line between the two.

    with Proxy(robot_fd, Faults(flip=1e-4, seed=3)) as proxy:
        transport = open_transport(proxy.path)
        proxy.cut()
        proxy.replug()            # proxy.path is another one now

`jepa-bridge --port 'chaos://flip=1e-4@/dev/ttyUSB0'` is the same for people (`chaos.py` has the grammar).
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
import tty
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from jepa_bridge.link.chaos import Faults, Mangler, Way

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_S = 0.005  # how often spans of time are looked at
BLOCKED_S = 0.001  # what is due and still there was not taken: try again after this
QUEUED_MAX_BYTES = 65536  # a line that is not read is not read from either: the sender's buffer fills, as on a real one
READ_BYTES = 4096


@dataclass(slots=True)
class _Line:
    """One way."""

    mangler: Mangler
    stalled: bool = False
    flooded: bool = False
    queue: deque[tuple[float, bytes]] = field(default_factory=deque)  # (when due, bytes)
    queued: int = 0
    due_s: float = 0.0  # of the last in the queue: a line delays, it does not reorder

    def put(self, data: bytes, due_s: float) -> None:
        if data:
            self.due_s = max(self.due_s, due_s)
            self.queue.append((self.due_s, data))
            self.queued += len(data)

    def clear(self) -> None:
        self.queue.clear()
        self.queued = 0


class Proxy:
    """A thread that passes bytes on and makes the faults. Its methods may be called from any other thread."""

    def __init__(
        self,
        robot_fd: int,
        faults: Faults | None = None,
        *,
        symlink: Path | None = None,
        on_sent: Callable[[Way, bytes], None] | None = None,
        on_delivered: Callable[[Way, bytes], None] | None = None,
    ) -> None:
        """`robot_fd` stays the caller's. `symlink` follows the port's name, as udev's by-id names do.

        on_sent(way, data), on_delivered(way, data): what went into the line, and what came out of it.
        """
        self.faults = faults or Faults()
        self._robot_fd = robot_fd
        self._symlink = symlink
        self._on_sent = on_sent
        self._on_delivered = on_delivered
        self._lines = {way: _Line(Mangler(self.faults, way)) for way in Way}
        self._start_s = time.monotonic()
        self._calls: deque[Callable[[], None]] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ended = threading.Event()
        self._robot_gone = False
        self._unplugged = False
        self._master, self._slave = _pty()
        self._next = _pty()  # made before the old one goes, or the kernel would give the same name again
        self._link()
        self._thread = threading.Thread(target=self._run, name="chaos", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- for the caller ----

    @property
    def path(self) -> str | None:
        """The port for the host; None while it is unplugged."""
        return None if self._unplugged or self._ended.is_set() else os.ttyname(self._slave)

    def done(self, way: Way) -> Mangler:
        """The mangler of that way: what it did, and `once`."""
        return self._lines[way].mangler

    def set_faults(self, faults: Faults) -> None:
        """Go on with another line."""

        def change() -> None:
            self.faults = faults
            for way, line in self._lines.items():
                done, line.mangler = line.mangler.done, Mangler(faults, way)
                line.mangler.done = done

        self._call(change)

    def stall(self, *ways: Way, on: bool = True) -> float:
        """Take nothing and give nothing any more, these ways (both, if none is named). When it began, monotonic s."""

        def change() -> None:
            for way in ways or Way:
                self._lines[way].stalled = on

        return self._call(change)

    def flood(self, *ways: Way, on: bool = True) -> float:
        """Bring noise without a zero instead of what was sent."""

        def change() -> None:
            for way in ways or Way:
                self._lines[way].flooded = on

        return self._call(change)

    def inject(self, way: Way, data: bytes) -> float:
        """Have `data` come out as if it had been sent."""
        return self._call(lambda: self._lines[way].put(data, time.monotonic()))

    def cut(self) -> float:
        """Unplug: the host's port hangs up, what was on the line is gone."""
        return self._call(self._cut)

    def replug(self) -> float:
        """Plug in again, under another name."""
        return self._call(self._replug)

    def close(self) -> None:
        """End the proxy; the host's port hangs up."""
        if self._ended.is_set():
            return
        self._call(self._ended.set)
        self._thread.join(5.0)
        for fd in (self._master, self._slave, *self._next, self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(fd)
        if self._symlink is not None:
            self._symlink.unlink(missing_ok=True)

    # ---- the thread ----

    def _call(self, change: Callable[[], None]) -> float:
        """Have the proxy's thread do it, between two looks at the line; when it was done, monotonic s."""
        done, at = threading.Event(), [0.0]

        def run() -> None:
            change()
            at[0] = time.monotonic()
            done.set()

        self._calls.append(run)
        os.write(self._wake_write, b"\0")
        if not done.wait(5.0):
            raise RuntimeError("the fault proxy does not answer")
        return at[0]

    def _run(self) -> None:
        while not self._ended.is_set():
            now_s = time.monotonic()
            self._follow_spans(now_s - self._start_s)
            ends = ((self._master, Way.ROBOT), (self._robot_fd, Way.HOST))
            reading = [fd for fd, way in ends if self._takes(way)]
            ready, _, _ = select.select([self._wake_read, *reading], [], [], self._patience_s(now_s))
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            while self._calls:
                self._calls.popleft()()
            if self._ended.is_set():
                return
            # a call may have unplugged the port that was ready
            if self._master in ready and self._takes(Way.ROBOT):
                self._take(self._master, Way.ROBOT)
            if self._robot_fd in ready and self._takes(Way.HOST):
                self._take(self._robot_fd, Way.HOST)
            self._give(self._robot_fd, Way.ROBOT)
            if not self._unplugged:
                self._give(self._master, Way.HOST)

    def _takes(self, way: Way) -> bool:
        """Whether the end that sends this way is to be read."""
        line = self._lines[way]
        if self._unplugged if way is Way.ROBOT else self._robot_gone:
            return False
        return not line.stalled and line.queued < QUEUED_MAX_BYTES

    def _patience_s(self, now_s: float) -> float:
        due = [line.queue[0][0] - now_s for line in self._lines.values() if line.queue and not line.stalled]
        return min([LOOK_S, *(max(BLOCKED_S, wait_s) for wait_s in due)])

    def _take(self, fd: int, way: Way) -> None:
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # the robot's port is gone: so is ours
            data = b""
        if not data:
            if fd == self._robot_fd:
                self._robot_gone = True
                self._cut()
            return
        if self._on_sent is not None:
            self._on_sent(way, data)
        line = self._lines[way]
        if line.flooded or (self._unplugged and way is Way.HOST):
            return
        delay_ms = jitter_ms = 0.0
        if self.faults.lie(way):
            delay_ms, jitter_ms = self.faults.delay, self.faults.jitter
        delay_s = (delay_ms + (line.mangler.draw() * jitter_ms if jitter_ms else 0.0)) / 1000
        line.put(line.mangler.feed(data), time.monotonic() + delay_s)

    def _give(self, fd: int, way: Way) -> None:
        line = self._lines[way]
        now_s = time.monotonic()
        if line.flooded and not line.queue:
            line.put(line.mangler.noise(), now_s)
        while line.queue and not line.stalled and line.queue[0][0] <= now_s:
            due_s, data = line.queue[0]
            try:
                written = os.write(fd, data)
            except OSError:  # full, or gone
                return
            if self._on_delivered is not None:
                self._on_delivered(way, data[:written])
            line.queued -= written
            if written < len(data):
                line.queue[0] = (due_s, data[written:])
                return
            line.queue.popleft()

    def _follow_spans(self, elapsed_s: float) -> None:
        """Only spans that are there are followed: without, `stall`, `flood` and `cut` are the caller's."""
        faults = self.faults
        for way, line in self._lines.items():
            if faults.stall and faults.lie(way):
                line.stalled = any(span.holds(elapsed_s) for span in faults.stall)
            if faults.flood and faults.lie(way):
                line.flooded = any(span.holds(elapsed_s) for span in faults.flood)
        if faults.cut:
            cut = any(span.holds(elapsed_s) for span in faults.cut)
            if cut and not self._unplugged:
                self._cut()
            elif not cut and self._unplugged:
                self._replug()

    def _cut(self) -> None:
        if self._unplugged:
            return
        self._unplugged = True
        for line in self._lines.values():
            line.clear()
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        if self._symlink is not None:
            self._symlink.unlink(missing_ok=True)

    def _replug(self) -> None:
        if not self._unplugged or self._robot_gone:
            return
        self._master, self._slave = self._next
        self._next = _pty()
        self._unplugged = False
        self._link()

    def _link(self) -> None:
        if self._symlink is not None:
            self._symlink.unlink(missing_ok=True)
            self._symlink.symlink_to(os.ttyname(self._slave))


def _pty() -> tuple[int, int]:
    """Our end, and the host's, which stays open here: without anyone there, reads at our end would fail."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave
