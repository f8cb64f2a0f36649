"""What a log holds, in a few numbers."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError
from jepa_bridge.link.codec import decode
from jepa_bridge.link.frame import FrameError
from jepa_bridge.link.schema import Hello
from jepa_bridge.record.channels import META_CLOSED, META_RUN, RECORDER, WIRE_DEVICE, WIRE_HOST, WIRE_REJECTED

if TYPE_CHECKING:
    from pathlib import Path

    from jepa_bridge.record.reader import Log, Record

_SEQ_MODULUS = 65536


@dataclass(frozen=True, slots=True)
class LogSummary:
    """One log. Texts are empty where the log does not say."""

    path: Path
    size_bytes: int
    duration_s: float
    counts: dict[str, int]  # messages of each channel
    device_frames_per_s: float
    host_frames_per_s: float
    uid: str  # hexadecimal
    board: str
    firmware_version: str
    model_hash: str
    goals: int  # that the run was started with
    goals_reached: int
    device_frames_lost: int  # gaps in the device's sequence numbers: lost on the line or dropped by the recorder
    frames_rejected: int  # refused by the host's link
    frames_undecodable: int  # recorded as frames, and no message of this version
    dropped_wire: int  # not recorded because the disk was too slow or full
    dropped_derived: int
    torn: bool
    bytes_lost: int
    refused: int  # damaged records of the file


def summarise(log: Log) -> LogSummary:
    """Read the whole log once."""
    counter = _Counter(log)
    for record in log.records():
        counter.add(record)
    counts = dict(counter.counts)
    duration_s = (counter.last_us - counter.first_us) / 1e6 if counts else 0.0
    run = log.metadata.get(META_RUN, {})
    hello = counter.hello
    return LogSummary(
        path=log.path,
        size_bytes=log.size_bytes,
        duration_s=duration_s,
        counts=counts,
        device_frames_per_s=counts.get(WIRE_DEVICE, 0) / duration_s if duration_s else 0.0,
        host_frames_per_s=counts.get(WIRE_HOST, 0) / duration_s if duration_s else 0.0,
        uid=hello.uid.hex() if hello else run.get("uid", ""),
        board=hello.board if hello else run.get("board", ""),
        firmware_version=hello.firmware_version if hello else run.get("firmware_version", ""),
        model_hash=run.get("model_hash", ""),
        goals=_goal_count(run.get("goals", "")),
        goals_reached=counter.goals_reached,
        device_frames_lost=counter.device_frames_lost,
        frames_rejected=counts.get(WIRE_REJECTED, 0),
        frames_undecodable=counter.undecodable,
        dropped_wire=counter.dropped["dropped_wire"],
        dropped_derived=counter.dropped["dropped_derived"],
        torn=log.torn,
        bytes_lost=log.bytes_lost,
        refused=log.refused,
    )


def _goal_count(goals_json: str) -> int:
    """How many goals the run was started with: a JSON list in its metadata."""
    try:
        goals = json.loads(goals_json or "[]")
    except ValueError:
        return 0
    return len(goals) if isinstance(goals, list) else 0


class _Counter:
    """Adds up one log, record by record."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.counts: Counter[str] = Counter()
        self.first_us = 0
        self.last_us = 0
        self.hello: Hello | None = None
        self.undecodable = 0
        self.device_frames_lost = 0
        self.goals_reached = 0
        self.dropped: defaultdict[str, int] = defaultdict(int)
        self._seq: int | None = None
        for name, text in log.metadata.get(META_CLOSED, {}).items():
            self._dropped_up_to(name, text)

    def add(self, record: Record) -> None:
        # frames of several threads may be queued a little out of order, so neither end is simply first or last
        self.first_us = min(self.first_us, record.t_us) if self.counts else record.t_us
        self.last_us = max(self.last_us, record.t_us) if self.counts else record.t_us
        self.counts[record.channel] += 1
        if record.channel == WIRE_DEVICE:
            self._device_frame(record.data)
        elif record.channel in ("goal", RECORDER):
            try:
                value = self._log.json(record)
            except BridgeError:
                return
            if record.channel == "goal":
                self.goals_reached += value.get("state") == "reached"
            for name in ("dropped_wire", "dropped_derived"):
                self._dropped_up_to(name, value.get(name, 0))

    def _device_frame(self, body: bytes) -> None:
        try:
            message = decode(body)
        except FrameError:
            self.undecodable += 1
            return
        rebooted = isinstance(message, Hello) and (self.hello is None or message.boot_id != self.hello.boot_id)
        if self._seq is not None and not rebooted:
            ahead = (message.seq - self._seq) % _SEQ_MODULUS
            if 0 < ahead < _SEQ_MODULUS // 2:
                self.device_frames_lost += ahead - 1
        self._seq = message.seq
        if isinstance(message, Hello):
            self.hello = message

    def _dropped_up_to(self, name: str, count: object) -> None:
        """Counts in a log only grow; the largest is the last."""
        try:
            self.dropped[name] = max(self.dropped[name], int(str(count)))
        except ValueError:
            return
