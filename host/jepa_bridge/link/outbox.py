"""What waits to be written, so that a port that takes nothing blocks one thread and nobody else."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from jepa_bridge.link.codec import encode
from jepa_bridge.link.schema import Cmd, Message, Stop

if TYPE_CHECKING:
    from collections.abc import Iterable

WAITING_MAX = 32  # control frames behind a blocked port; the session sends dropped ones again


class Outbox:
    """CBOR bodies in the order of their sequence numbers, with one place for a CMD: the newest wins.

    A STOP removes the waiting CMD. Thread-safe.
    """

    def __init__(self) -> None:
        self.superseded = 0  # commands that a newer one or a STOP replaced before they were written
        self._bodies: deque[tuple[bool, bytes]] = deque(maxlen=WAITING_MAX)  # (is a CMD, body)
        self._changed = threading.Condition()

    def put(self, messages: Iterable[Message]) -> None:
        """Add messages. Raises FrameError for a value that must not go on the wire; never blocks."""
        encoded = [(message, encode(message)) for message in messages]
        with self._changed:
            for message, body in encoded:
                if isinstance(message, Cmd | Stop):
                    self._drop_command()
                self._bodies.append((isinstance(message, Cmd), body))
            self._changed.notify()

    def take(self, timeout_s: float) -> bytes | None:
        """The next body to write; None if nothing came in time."""
        with self._changed:
            if not self._bodies:
                self._changed.wait(timeout_s)
            return self._bodies.popleft()[1] if self._bodies else None

    def clear(self) -> None:
        """Drop everything: the port it was meant for is gone."""
        with self._changed:
            self._bodies.clear()

    def _drop_command(self) -> None:
        for waiting in self._bodies:
            if waiting[0]:
                self._bodies.remove(waiting)
                self.superseded += 1
                return
