"""Make a complete, indexed log of one that was cut off; the original stays as it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcap.records import Channel, Message, Metadata, Schema
from mcap.writer import Writer

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.record.channels import META_RECOVERY
from jepa_bridge.record.reader import open_and_scan
from jepa_bridge.record.scan import Tally

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class RecoverySummary:
    """What was carried over, and what could not be."""

    path: Path
    messages: int
    was_torn: bool
    bytes_lost: int
    refused: int


def recover(path: Path, out: Path) -> RecoverySummary:
    """Write every whole record of `path` to the new file `out`, with times and sequence numbers unchanged.

    Raises BridgeError: `log-missing` or `log-unreadable` for `path`, `log-exists` or `log-directory` for `out`.
    """
    try:
        stream = out.open("xb")
    except FileExistsError as error:
        raise BridgeError("log-exists", f"{out} exists already", "give another name", status=Exit.LOG) from error
    except OSError as error:
        raise _cannot_write(out, error) from error
    try:
        with stream:
            return _copy(path, out, stream)
    except BaseException as error:
        out.unlink(missing_ok=True)  # half a recovery would look like a whole one
        if isinstance(error, OSError):
            raise _cannot_write(out, error) from error
        raise


def _copy(path: Path, out: Path, stream: BinaryIO) -> RecoverySummary:
    tally = Tally()
    writer: Any = Writer(stream)  # its annotations are incomplete
    writer.start(profile="jepa-bridge")
    schema_ids: dict[int, int] = {0: 0}  # in the original -> here; 0 is "no schema"
    channel_ids: dict[int, int] = {}
    messages = 0
    for item in open_and_scan(path, tally):
        match item:
            case Schema():
                if item.id not in schema_ids:
                    schema_ids[item.id] = writer.register_schema(item.name, item.encoding, item.data)
            case Channel():
                if item.id not in channel_ids:
                    channel_ids[item.id] = writer.register_channel(
                        item.topic, item.message_encoding, schema_ids.get(item.schema_id, 0), item.metadata
                    )
            case Message():
                if item.channel_id in channel_ids:
                    writer.add_message(
                        channel_ids[item.channel_id], item.log_time, item.data, item.publish_time, item.sequence
                    )
                    messages += 1
                else:
                    tally.refused += 1
            case Metadata():
                writer.add_metadata(item.name, item.metadata)
    facts = {"source": path.name, "bytes_lost": str(tally.bytes_lost), "refused": str(tally.refused)}
    writer.add_metadata(META_RECOVERY, facts)
    writer.finish()
    stream.flush()
    os.fsync(stream.fileno())
    return RecoverySummary(out, messages, not tally.closed, tally.bytes_lost, tally.refused)


def _cannot_write(out: Path, error: OSError) -> BridgeError:
    return BridgeError(
        "log-directory",
        f"cannot write {out}: {error.strerror or error}",
        "choose a folder that can be written and has free space",
        status=Exit.LOG,
    )
