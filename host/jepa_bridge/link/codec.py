"""Messages <-> CBOR bodies: the one place where a byte becomes a message.

A body is one definite-length, minimally encoded CBOR array `[type, seq, session, t_us, ...]`. One value has exactly
one encoding, so a body is accepted only if encoding what it says gives the same bytes again.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, Any, get_type_hints

import cbor2

from jepa_bridge.link.frame import CRC_BYTES, HELLO_SEED, SCHEMA_SEED, FrameError, check_payload, encode_frame
from jepa_bridge.link.schema import FIELDS, MESSAGES, Field, Hello, Message

if TYPE_CHECKING:
    from collections.abc import Callable

_PLAIN_TYPES = frozenset({int, bytes, str, type(None)})  # bool is its own type here, floats and tags stay out
_KINDS: dict[str, type] = {"int": int, "bytes": bytes, "text": str}


class _Layout:
    """What `decode` needs of one message, worked out once: its fields flat, as they stand on the wire."""

    def __init__(self, number: int) -> None:
        self.message: Callable[..., Message] = MESSAGES[number]
        self.fields = FIELDS[number]
        self.flat: list[Field] = [field for field in self.fields for _ in range(field.count)]
        self.bounds: list[tuple[Any, int, int, bool]] = [
            (_KINDS[field.kind], field.low, field.high, field.nullable) for field in self.flat
        ]
        self.starts: list[tuple[int, int]] = []  # where each list field stands among the flat ones
        at = 0
        for field in self.fields:
            if field.count > 1:
                self.starts.append((at, at + field.count))
            at += field.count
        self.items = at
        hints = get_type_hints(MESSAGES[number])
        self.enums: list[tuple[int, type[IntEnum]]] = [
            (index, hints[field.name])
            for index, field in enumerate(self.fields)
            if isinstance(hints[field.name], type) and issubclass(hints[field.name], IntEnum)
        ]


_LAYOUTS = {number: _Layout(number) for number in MESSAGES}


def _field_error(field: Field, value: object) -> FrameError:
    kind = {"int": "an integer", "bytes": "a byte string, its length", "text": "an ASCII text, its length"}[field.kind]
    bounds = f"{field.low}..{field.high}{' or null' if field.nullable else ''}"
    return FrameError("field", f"{field.name}: expected {kind} in {bounds}, got {value!r}")


def _check_fields(layout: _Layout, values: list[Any]) -> None:
    """Raise FrameError("field") for the first value of the wrong kind or out of its bounds."""
    for (kind, low, high, nullable), field, value in zip(layout.bounds, layout.flat, values, strict=True):
        if type(value) is kind:
            size = value if kind is int else len(value)
            if low <= size <= high and (kind is not str or value.isascii()):
                continue
        elif nullable and value is None:
            continue
        raise _field_error(field, value)


def encode(message: Message) -> bytes:
    """A message -> its CBOR body. Raises FrameError("field") rather than put an invalid value on the wire."""
    layout = _LAYOUTS[message.TYPE]
    values: list[Any] = []
    for field in layout.fields:
        value = getattr(message, field.name)
        if field.count > 1:
            if len(value) != field.count:
                raise FrameError("items", f"{field.name}: expected {field.count} items, got {len(value)}")
            values.extend(value)
        else:
            values.append(int(value) if isinstance(value, IntEnum) else value)
    _check_fields(layout, values)
    return cbor2.dumps([message.TYPE, *values])


def decode(body: bytes) -> Message:
    """A CBOR body -> its message. Raises FrameError; never returns a message that `encode` would write differently."""
    try:
        items: Any = cbor2.loads(body)
    except Exception as error:  # a CBOR library may raise anything on hostile input: the frame is refused all the same
        raise FrameError("cbor-form", f"not CBOR: {error}") from None
    if type(items) is not list:
        raise FrameError("cbor-form", f"expected an array, got {type(items).__name__}")
    if not _PLAIN_TYPES.issuperset(map(type, items)):
        raise FrameError("field", "expected integers, strings and null only")
    canonical = cbor2.dumps(items)
    if canonical != body:
        if body.startswith(canonical):
            raise FrameError("trailing", f"{len(body) - len(canonical)} bytes follow the array")
        raise FrameError("cbor-form", "not a definite-length array in its shortest encoding")
    layout = _LAYOUTS.get(items[0]) if items else None
    if layout is None:
        raise FrameError("type", f"no message has type {items[0] if items else None!r}")
    del items[0]
    if len(items) != layout.items:
        raise FrameError("items", f"expected {layout.items} fields, got {len(items)}")
    _check_fields(layout, items)
    for start, stop in reversed(layout.starts):
        items[start:stop] = [tuple(items[start:stop])]
    for index, enum in layout.enums:
        items[index] = enum(items[index])
    return layout.message(*items)


def seed_of_type(number: int) -> int:
    """What the CRC of a message of this type continues from."""
    return HELLO_SEED if number == Hello.TYPE else SCHEMA_SEED


def frame_of_body(body: bytes) -> bytes:
    """A body that `encode` wrote -> the bytes for the line."""
    return encode_frame(body, seed_of_type(_peek_type(body)))


def frame_of(message: Message) -> bytes:
    """A message -> the bytes for the line, delimiters included."""
    return encode_frame(encode(message), seed_of_type(message.TYPE))


def body_of_payload(payload: bytes) -> bytes:
    """A payload from FrameReader -> its CBOR body, once magic and CRC hold. Raises FrameError."""
    check_payload(payload)
    body = payload[1:-CRC_BYTES]
    crc = zlib.crc32(payload[:-CRC_BYTES], seed_of_type(_peek_type(body)))
    if crc.to_bytes(CRC_BYTES, "little") != payload[-CRC_BYTES:]:
        raise FrameError("crc", "damaged on the way, or from a peer with another schema")
    return body


def decode_payload(payload: bytes) -> Message:
    """A payload from FrameReader -> its message. Raises FrameError."""
    return decode(body_of_payload(payload))


def _peek_type(body: bytes) -> int:
    """The type number, before anything is decoded; -1 where the bytes cannot start a message.

    An array's head is one byte up to 23 items and two (98 nn) beyond, and every type number is one byte.
    """
    at = 2 if body[:1] == b"\x98" else 1
    return body[at] if len(body) > at else -1
