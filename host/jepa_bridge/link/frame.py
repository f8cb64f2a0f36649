"""Bytes <-> frames: 00 | COBS( B1 | CBOR array | CRC-32 LE ) | 00 (protocol/PROTOCOL.md, "Frame").

This file knows delimiters, COBS, lengths and the CRC's place, and nothing of messages.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from jepa_bridge.link.schema import FRAME_MAGIC, FRAME_MAX_BYTES, SCHEMA_HASH

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = bytes([FRAME_MAGIC])
CRC_BYTES = 4
PAYLOAD_MIN_BYTES = 1 + 1 + CRC_BYTES  # magic, an empty array, CRC
SCHEMA_SEED = int.from_bytes(SCHEMA_HASH, "big")  # where the CRC of every message but HELLO continues from
HELLO_SEED = 0  # HELLO explains a schema mismatch, so its own check cannot depend on the schema

# COBS adds one byte to up to 254: with payloads of at most 128 the 0xFF block of the full COBS never occurs
ENCODED_MAX_BYTES = FRAME_MAX_BYTES + 1
TEXT_KEPT_BYTES = 256  # enough for a prompt or the last lines of a boot loader


class FrameError(ValueError):
    """A frame that is refused, or a value that fits into none.

    `reason` is one of REASONS: programs and `protocol/vectors/` hold to it.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


REASONS = (
    "cobs",  # not a COBS encoding
    "length",  # longer than FRAME_MAX_BYTES, or too short to hold anything
    "magic",  # does not start with B1: text, or noise
    "crc",  # damaged, or from a peer with another schema
    "cbor-form",  # not one definite, minimally encoded CBOR array
    "trailing",  # something follows the array
    "type",  # no message has this type number
    "items",  # too few or too many fields
    "field",  # a field has the wrong kind or is out of its bounds
)


def cobs_encode(payload: bytes) -> bytes:
    """Payload of at most 253 bytes -> the same without zero bytes, one byte longer."""
    if len(payload) > 253:
        raise ValueError(f"expected at most 253 bytes, got {len(payload)}")
    return b"".join([b"%c%b" % (len(run) + 1, run) for run in payload.split(b"\0")])


def cobs_decode(chunk: bytes) -> bytes:
    """Inverse of `cobs_encode`; `chunk` holds no zero byte. Raises FrameError("cobs")."""
    runs = []
    start, end = 0, len(chunk)
    while start < end:
        stop = start + chunk[start]
        runs.append(chunk[start + 1 : stop])
        start = stop
    if start != end or not runs:
        raise FrameError("cobs", f"the last run ends {start - end} bytes behind the chunk")
    return b"\0".join(runs)


def check_payload(payload: bytes) -> None:
    """Raise FrameError("length" or "magic") for what cannot be a frame, before any of it is looked at."""
    if not PAYLOAD_MIN_BYTES <= len(payload) <= FRAME_MAX_BYTES:
        raise FrameError("length", f"expected {PAYLOAD_MIN_BYTES} to {FRAME_MAX_BYTES} bytes, got {len(payload)}")
    if payload[0] != FRAME_MAGIC:
        raise FrameError("magic", f"expected {FRAME_MAGIC:#x} first, got {payload[0]:#x}")


def encode_frame(body: bytes, seed: int) -> bytes:
    """A message's CBOR -> the bytes for the line. `seed`: SCHEMA_SEED, or HELLO_SEED for HELLO alone."""
    payload = MAGIC + body
    payload += zlib.crc32(payload, seed).to_bytes(CRC_BYTES, "little")
    if len(payload) > FRAME_MAX_BYTES:
        raise FrameError("length", f"expected at most {FRAME_MAX_BYTES} bytes, got {len(payload)}")
    return b"\0" + cobs_encode(payload) + b"\0"


class FrameReader:
    """Cuts a byte stream into payloads (magic, CBOR and CRC, out of their COBS).

    Finds its place again at the next zero byte. Holds at most one frame and TEXT_KEPT_BYTES of other text, whatever
    comes: a port may belong to a device that never sends a zero.
    """

    def __init__(self, on_garbage: Callable[[bytes, str], None] | None = None) -> None:
        """`on_garbage(chunk, reason)` is given what is no frame, in pieces no larger than what was fed."""
        self.bytes_received = 0
        self.frames = 0  # payloads handed out
        self.frames_bad = 0  # runs between zeros that were no frame
        self.garbage_bytes = 0
        self._on_garbage = on_garbage
        self._partial = b""
        self._skipping = False  # inside a run that is already too long
        self._text = b""

    def reset(self) -> None:
        """Forget a frame begun on a port that is gone; the counters go on."""
        self._partial = b""
        self._skipping = False

    @property
    def text(self) -> bytes:
        """The last bytes that were no frame, for telling a person what is on the port."""
        return (self._text + self._partial)[-TEXT_KEPT_BYTES:]

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads completed by `data`, which may end or begin anywhere in a frame."""
        self.bytes_received += len(data)
        *complete, rest = data.split(b"\0")
        payloads = []
        for chunk in complete:
            payload = self._finish(chunk)
            if payload is not None:
                payloads.append(payload)
        if self._skipping:
            self._discard(rest, "length")
        elif len(self._partial) + len(rest) > ENCODED_MAX_BYTES:
            self._discard(self._partial + rest, "length")
            self._partial = b""
            self._skipping = True
        else:
            self._partial += rest
        return payloads

    def _finish(self, chunk: bytes) -> bytes | None:
        """A zero came: `chunk`, with what was waiting before it, is a frame or is nothing."""
        if self._skipping:
            self._skipping = False
            self.frames_bad += 1
            self._discard(chunk, "length")
            return None
        chunk = self._partial + chunk
        self._partial = b""
        if not chunk:
            return None
        try:
            if len(chunk) > ENCODED_MAX_BYTES:
                raise FrameError("length", f"expected at most {ENCODED_MAX_BYTES} bytes, got {len(chunk)}")
            payload = cobs_decode(chunk)
            check_payload(payload)
        except FrameError as error:
            self.frames_bad += 1
            self._discard(chunk, error.reason)
            return None
        self.frames += 1
        return payload

    def _discard(self, chunk: bytes, reason: str) -> None:
        if not chunk:
            return
        self.garbage_bytes += len(chunk)
        self._text = (self._text + chunk)[-TEXT_KEPT_BYTES:]
        if self._on_garbage is not None:
            self._on_garbage(chunk, reason)
