"""Messages that wait for the disk: bounded, and clear about what goes first when there are too many."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import NamedTuple

# About two minutes of a driving robot (150 messages a second): longer than an SD card stalls. A disk that is
# slower for longer must cost data, not memory or driving.
MAX_MESSAGES = 20_000
MAX_BYTES = 16 * 2**20


class Entry(NamedTuple):
    """One message; `order` counts over all channels and keeps the file in the order of the calls."""

    order: int
    channel: str
    sequence: int  # counts the channel's messages, dropped ones too: a gap in the file is a drop
    log_time_ns: int
    data: bytes
    derived: bool


class Backlog:
    """A queue between threads. `put` never waits for the disk: its lock is held for a few appends at most.

    When it is full, derived messages go first (they can be computed again from the wire): a new derived message is
    refused, and a wire frame takes the place of the oldest derived ones. Only when none is left is a frame refused.
    """

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._wire: deque[Entry] = deque()
        self._derived: deque[Entry] = deque()
        self._bytes = 0
        self._order = 0
        self._sequences: defaultdict[str, int] = defaultdict(int)
        self._closed = False
        self.dropped_wire = 0
        self.dropped_derived = 0

    def put(self, channel: str, log_time_ns: int, data: bytes, *, derived: bool) -> bool:
        """Queue a message, or count it as dropped; True says that the queue is half full and should be taken soon."""
        with self._lock:
            sequence = self._sequences[channel]
            self._sequences[channel] = (sequence + 1) & 0xFFFFFFFF
            while not derived and self._derived and not self._fits(len(data)):
                self._bytes -= len(self._derived.popleft().data)
                self._count(1, derived=True)
            if self._closed or not self._fits(len(data)) or not 0 <= log_time_ns < 2**64:
                self._count(1, derived=derived)
            else:
                entry = Entry(self._order, channel, sequence, log_time_ns, data, derived)
                (self._derived if derived else self._wire).append(entry)
                self._order += 1
                self._bytes += len(data)
            waiting = len(self._wire) + len(self._derived)
            return waiting > self._max_messages // 2 or self._bytes > self._max_bytes // 2

    def count_dropped(self, *, derived: bool, messages: int = 1) -> None:
        """Count messages that will not be in the file."""
        with self._lock:
            self._count(messages, derived=derived)

    def take_all(self) -> list[Entry]:
        """Everything queued, in the order of the calls."""
        with self._lock:
            wire, derived = self._wire, self._derived
            self._wire, self._derived = deque(), deque()
            self._bytes = 0
        return sorted([*wire, *derived])  # two sorted runs, which the sort merges in one pass

    def close(self) -> None:
        """Count whatever comes from now on as dropped."""
        with self._lock:
            self._closed = True

    def _count(self, messages: int, *, derived: bool) -> None:
        if derived:
            self.dropped_derived += messages
        else:
            self.dropped_wire += messages

    def _fits(self, data_bytes: int) -> bool:
        waiting = len(self._wire) + len(self._derived)
        return waiting < self._max_messages and self._bytes + data_bytes <= self._max_bytes
