"""Walk through an MCAP file that may be cut off, damaged or still growing, and take every record that is whole.

mcap's own readers raise at the first such place, and where a file ends inside a message they hand out a short one.
Here a chunk counts only if its checksum holds, and nothing larger than RECORD_MAX_BYTES is ever loaded.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Footer, Message, Metadata, Schema
from mcap.writer import MCAP0_MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ours write chunks of about 1 MiB, mcap's tools up to 4 MiB. A length in a damaged file may say anything.
RECORD_MAX_BYTES = 64 * 2**20

_HEAD = struct.Struct("<BQ")  # opcode, length of the content
_MESSAGE = struct.Struct("<HIQQ")  # channel id, sequence, log time, publish time; then the data
_FOOTER_BYTES = _HEAD.size + 20
_WANTED = frozenset({Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE, Opcode.METADATA, Opcode.CHUNK})

Scanned = Schema | Channel | Message | Metadata


class NotMcapError(ValueError):
    """The file does not begin as an MCAP file does."""


@dataclass
class Tally:
    """What a scan found out about the file."""

    closed: bool = False  # has the index that a recorder writes last
    bytes_lost: int = 0  # at the end, not a whole record
    refused: int = 0  # records (a chunk is one) that are whole in length and damaged in content


def scan(stream: BinaryIO, tally: Tally, *, messages: bool = True) -> Iterator[Scanned]:
    """The file's records in file order. Without `messages`, chunks are passed over and only metadata come.

    Raises NotMcapError for another kind of file, and OSError if it cannot be read; damage is counted in `tally`.
    """
    size = os.fstat(stream.fileno()).st_size
    magic = stream.read(len(MCAP0_MAGIC))
    if magic != MCAP0_MAGIC[: len(magic)]:
        raise NotMcapError
    tally.closed = _has_index(stream, size)
    at = stream.seek(len(magic))
    while True:
        head = stream.read(_HEAD.size)
        opcode, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
        end = at + _HEAD.size + length
        # after a power cut, a file system may leave zeros where data should be; 0 is no opcode
        if opcode == 0 or end > size:
            tally.bytes_lost = size - at
            return
        if opcode in (Opcode.DATA_END, Opcode.FOOTER):
            return
        if opcode in _WANTED and (messages or opcode == Opcode.METADATA):
            if length > RECORD_MAX_BYTES:
                tally.refused += 1
            else:
                yield from _records(opcode, stream.read(length), tally)
        at = stream.seek(end)


def _has_index(stream: BinaryIO, size: int) -> bool:
    """Whether the file ends with a footer that points to a summary."""
    tail_bytes = _FOOTER_BYTES + len(MCAP0_MAGIC)
    if size < len(MCAP0_MAGIC) + tail_bytes:
        return False
    stream.seek(size - tail_bytes)
    tail = stream.read(tail_bytes)
    if not tail.endswith(MCAP0_MAGIC) or _HEAD.unpack_from(tail) != (Opcode.FOOTER, 20):
        return False
    footer: Footer = Footer.read(_data_stream(tail[_HEAD.size :]))
    return footer.summary_start > 0


def _records(opcode: int, content: bytes, tally: Tally) -> Iterator[Scanned]:
    try:
        if opcode == Opcode.CHUNK:
            inner = _unpack(Chunk.read(_data_stream(content)))
        else:
            yield _parse(opcode, content)
            return
    except Exception:  # mcap and zstandard parse damaged bytes here and raise various errors; the record is refused
        tally.refused += 1
        return
    at = 0
    while at + _HEAD.size <= len(inner):
        inner_opcode, length = _HEAD.unpack_from(inner, at)
        start, at = at + _HEAD.size, at + _HEAD.size + length
        if inner_opcode in (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE) and at <= len(inner):
            yield from _records(inner_opcode, inner[start:at], tally)


def _parse(opcode: int, content: bytes) -> Scanned:
    if opcode == Opcode.MESSAGE:
        channel_id, sequence, log_time, publish_time = _MESSAGE.unpack_from(content)
        return Message(channel_id, log_time, content[_MESSAGE.size :], publish_time, sequence)
    kind: Any = {Opcode.SCHEMA: Schema, Opcode.CHANNEL: Channel, Opcode.METADATA: Metadata}[Opcode(opcode)]
    record: Schema | Channel | Metadata = kind.read(_data_stream(content))
    return record


def _unpack(chunk: Chunk) -> bytes:
    """A chunk's records; ValueError if they are not what the recorder put in."""
    if chunk.uncompressed_size > RECORD_MAX_BYTES:
        raise ValueError(f"expected at most {RECORD_MAX_BYTES} bytes in a chunk, got {chunk.uncompressed_size}")
    # the decoder stops at the size that was announced: a few damaged bytes must not unfold into gigabytes
    if chunk.compression == "zstd":
        decoder = zstandard.ZstdDecompressor(max_window_size=RECORD_MAX_BYTES)
        data = decoder.stream_reader(io.BytesIO(chunk.data)).read(chunk.uncompressed_size)
    elif chunk.compression == "":
        data = chunk.data
    else:
        raise ValueError(f"expected zstd or no compression, got {chunk.compression!r}")
    if len(data) != chunk.uncompressed_size:
        raise ValueError(f"expected {chunk.uncompressed_size} bytes in a chunk, got {len(data)}")
    if chunk.uncompressed_crc not in (0, zlib.crc32(data)):
        raise ValueError("the chunk's checksum does not hold")
    return data


def _data_stream(content: bytes) -> ReadDataStream:
    return ReadDataStream(io.BytesIO(content))
