"""When to exchange clocks, and which answer belongs to which question. No I/O."""

from __future__ import annotations

from jepa_bridge.link.clock import ClockSync

RETRY_US = 100_000  # a control message without its ACK is sent again
SENDINGS_MAX = 10
SYNC_AT_OPEN = 8  # clock exchanges in a row, each sent when the last one is answered
SYNC_PERIOD_US = 1_000_000  # also what keeps the robot from ending the session (2000 ms) while nothing is driven


class ClockExchange:
    """Eight exchanges when the session opens, then one a second; an unanswered one is asked again after 100 ms."""

    def __init__(self) -> None:
        self.estimate = ClockSync()
        self.next_us = 0  # when the next TIME_SYNC is due
        self._burst = SYNC_AT_OPEN
        self._sent_us: dict[int, int] = {}  # seq -> when, of unanswered TIME_SYNCs

    @property
    def settled(self) -> bool:
        """Whether the exchanges at opening are done."""
        return self._burst == 0

    def awaits(self, seq: int) -> bool:
        """Whether the TIME_SYNC with this sequence number has no answer yet."""
        return seq in self._sent_us

    def may_send(self, now_us: int) -> bool:
        """Whether to send one now; after ten without an answer it leaves the line alone for a period."""
        if len(self._sent_us) < SENDINGS_MAX:
            return True
        self._sent_us.clear()
        self.next_us = now_us + SYNC_PERIOD_US
        return False

    def sent(self, seq: int, now_us: int) -> None:
        """Note a sending."""
        self._sent_us[seq] = now_us
        self.next_us = now_us + RETRY_US

    def answered(self, seq: int, received_us: int, replied_us: int, now_us: int) -> bool:
        """Take an answer, with the device's unwrapped times; True if the next question follows at once."""
        self.estimate.add(self._sent_us[seq], received_us, replied_us, now_us)
        self._sent_us.clear()  # answers to earlier sendings could only be worse
        self._burst = max(0, self._burst - 1)
        self.next_us = now_us + SYNC_PERIOD_US
        return self._burst > 0
