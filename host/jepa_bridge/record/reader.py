"""Read a log, also one that was cut off or damaged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mcap.records import Channel, Message, Metadata

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.record.channels import META_RECORDER
from jepa_bridge.record.scan import NotMcapError, Scanned, Tally, scan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


class Record(NamedTuple):
    """One message of a log. `t_us` is the host's clock, exactly as the recorder was given it."""

    channel: str
    t_us: int
    data: bytes


@dataclass
class Log:
    """A log on disk. Messages stay there: `records` reads them one chunk at a time."""

    path: Path
    size_bytes: int
    metadata: dict[str, dict[str, str]]
    torn: bool  # never closed: cut off, or still being written
    bytes_lost: int  # at the end of a torn log, not a whole record
    epoch_offset_ns: int  # time since 1970 = t_us * 1000 + this; 0 in files that are not ours
    refused: int = 0  # damaged records (a chunk is one), known once `records` has been read to its end

    def records(self, channels: Collection[str] | None = None) -> Iterator[Record]:
        """Messages in file order; of some channels only, if given."""
        tally = Tally()
        topics: dict[int, str] = {}
        for item in open_and_scan(self.path, tally):
            if isinstance(item, Message):
                topic = topics.get(item.channel_id)
                if topic is None:  # the chunk that introduced its channel was damaged
                    tally.refused += 1
                elif channels is None or topic in channels:
                    yield Record(topic, (item.log_time - self.epoch_offset_ns) // 1000, item.data)
            elif isinstance(item, Channel):
                topics[item.id] = item.topic
        self.refused = tally.refused

    def json(self, record: Record) -> dict[str, object]:
        """The value of a record on a derived channel."""
        try:
            value = json.loads(record.data)
        except ValueError:  # bad JSON and bad UTF-8 alike
            value = None
        if not isinstance(value, dict):
            raise BridgeError(
                "log-unreadable",
                f"expected a JSON object on channel {record.channel} of {self.path}, got {record.data[:40]!r}",
                "the wire channels may still be good: replay and export use only those",
                status=Exit.LOG,
            )
        return value


def read_log(path: Path) -> Log:
    """Open a log: its metadata, and whether it is whole. Raises BridgeError `log-missing` or `log-unreadable`."""
    tally = Tally()
    metadata: dict[str, dict[str, str]] = {}
    for item in open_and_scan(path, tally, messages=False):
        if isinstance(item, Metadata):
            metadata.setdefault(item.name, {}).update(item.metadata)
    try:
        epoch_offset_ns = int(metadata.get(META_RECORDER, {}).get("epoch_offset_ns", "0"))
    except ValueError:
        epoch_offset_ns = 0
    return Log(path, path.stat().st_size, metadata, not tally.closed, tally.bytes_lost, epoch_offset_ns)


def open_and_scan(path: Path, tally: Tally, *, messages: bool = True) -> Iterator[Scanned]:
    """`scan`, with its errors told to a person."""
    try:
        with path.open("rb") as stream:
            yield from scan(stream, tally, messages=messages)
    except FileNotFoundError as error:
        raise BridgeError(
            "log-missing", f"there is no log {path}", "look into the folder given as --log-dir", status=Exit.LOG
        ) from error
    except NotMcapError as error:
        raise BridgeError(
            "log-unreadable", f"{path} is not an MCAP file", "give a file that jepa-bridge recorded", status=Exit.LOG
        ) from error
    except OSError as error:
        raise BridgeError(
            "log-unreadable",
            f"cannot read {path}: {error.strerror or error}",
            "look at its permissions and the disk",
            status=Exit.LOG,
        ) from error
