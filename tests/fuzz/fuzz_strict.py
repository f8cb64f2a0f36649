"""A second strict decoder, by hand from PROTOCOL.md and the schema's tables: the judge of the first.

It shares no code with `link/codec.py`, uses no CBOR library, and being plain Python it shows a coverage-guided fuzzer
the branches that the library hides in C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jepa_bridge.link.schema import FIELDS

if TYPE_CHECKING:
    import random


class NotStrictError(ValueError):
    """The bytes are not the one encoding of a valid message."""


def _need(condition: object) -> None:
    if not condition:
        raise NotStrictError


def _head(body: bytes, at: int) -> tuple[int, int, int]:
    """(major type, argument, position behind) of a head in its shortest form."""
    _need(at < len(body))
    major, low = body[at] >> 5, body[at] & 31
    at += 1
    if low < 24:
        return major, low, at
    _need(low <= 27)
    width = 1 << (low - 24)
    _need(at + width <= len(body))
    value = int.from_bytes(body[at : at + width], "big")
    _need(value >= {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[width])
    return major, value, at + width


def strict_items(body: bytes) -> list[Any]:
    """The items of a valid body, its type first. Raises NotStrictError."""
    major, count, at = _head(body, 0)
    _need(major == 4)
    _need(count >= 1)
    major, number, at = _head(body, at)
    _need(major == 0)
    _need(number in FIELDS)
    fields = [field for field in FIELDS[number] for _ in range(field.count)]
    _need(count == 1 + len(fields))
    items: list[Any] = [number]
    for field in fields:
        if at < len(body) and body[at] == 0xF6:
            _need(field.nullable)
            items.append(None)
            at += 1
            continue
        major, value, at = _head(body, at)
        if field.kind == "int":
            _need(major <= 1)
            value = -1 - value if major else value
            _need(field.low <= value <= field.high)
            items.append(value)
            continue
        _need(major == (2 if field.kind == "bytes" else 3))
        _need(field.low <= value <= field.high)
        text = body[at : at + value]
        _need(len(text) == value)
        at += value
        _need(field.kind == "bytes" or max(text, default=0) < 128)
        items.append(text if field.kind == "bytes" else text.decode("ascii"))
    _need(at == len(body))
    return items


# ---- other ways to write the same, all of which must be refused -----------------------------------------


def _wide_head(major: int, value: int, width: int) -> bytes:
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + value.to_bytes(width, "big")


def _item(value: Any) -> tuple[int, int, bytes]:
    if isinstance(value, int):
        return (1, -1 - value, b"") if value < 0 else (0, value, b"")
    data = value if isinstance(value, bytes) else value.encode()
    return (2 if isinstance(value, bytes) else 3), len(data), data


def _plain(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    return _wide_head(major, value, next(width for width in (1, 2, 4, 8) if value < 1 << 8 * width))


def forms_of_item(value: Any) -> list[tuple[str, bytes]]:
    """(name, encoding) of one item, every wrong way there is; the right one is not among them."""
    if value is None:
        return [
            ("null in two bytes", b"\xf8\x16"),
            ("undefined", b"\xf7"),
            ("tagged null", b"\xc1\xf6"),
            ("false", b"\xf4"),
        ]
    major, argument, data = _item(value)
    right = _plain(major, argument)
    forms = [
        (f"head of {width} bytes", _wide_head(major, argument, width) + data)
        for width in (1, 2, 4, 8)
        if argument < 1 << 8 * width and _wide_head(major, argument, width) != right
    ]
    forms += [(f"tag {tag}", _plain(6, tag) + right + data) for tag in (1, 24, 55799)]
    forms += [(f"reserved head {low}", bytes([major << 5 | low]) + data) for low in (28, 29, 30)]
    if major < 2:
        digits = argument.to_bytes(max(1, (argument.bit_length() + 7) // 8), "big")
        forms.append(("bignum", bytes([0xC2 | major, 0x40 | len(digits)]) + digits))
        forms.append(("empty bignum", bytes([0xC2 | major, 0x40])))
        import struct

        forms.append(("double", b"\xfb" + struct.pack(">d", value)))
        forms.append(("float", b"\xfa" + struct.pack(">f", value)))
        forms.append(("text", _plain(3, len(str(value))) + str(value).encode()))
        forms.append(("in an array", b"\x81" + right))
        forms.append(("indefinite integer", bytes([major << 5 | 31])))
    else:
        half = len(data) // 2
        chunks = b"".join(_plain(major, len(part)) + part for part in (data[:half], data[half:]))
        forms.append(("chunks", bytes([major << 5 | 31]) + chunks + b"\xff"))
        forms.append(("one chunk", bytes([major << 5 | 31]) + right + data + b"\xff"))
        forms.append(("other kind", bytes([right[0] ^ 0x20]) + right[1:] + data))
    return forms


def wrong_forms(items: list[Any], draw: random.Random) -> list[tuple[str, bytes]]:
    """(name, body) of a valid message written in ways that are not its one encoding."""
    parts = [b"\xf6" if value is None else _plain(*_item(value)[:2]) + _item(value)[2] for value in items]
    rest = b"".join(parts)
    count = len(items)
    body = _plain(4, count) + rest
    forms = [
        (f"item {at} as {name}", _plain(4, count) + b"".join([*parts[:at], form, *parts[at + 1 :]]))
        for at, value in enumerate(items)
        for name, form in forms_of_item(value)
    ]
    forms += [
        (f"array head of {width} bytes", _wide_head(4, count, width) + rest)
        for width in (1, 2, 4, 8)
        if _wide_head(4, count, width) != _plain(4, count)
    ]
    forms += [
        ("indefinite array", b"\x9f" + rest + b"\xff"),
        ("indefinite array without its end", b"\x9f" + rest),
        ("array in an array", b"\x81" + body),
        ("tagged array", b"\xd9\xd9\xf7" + body),
        ("array in a byte string", _plain(2, len(body)) + body),
        ("count one too many", _plain(4, count + 1) + rest),
        ("count one too few", _plain(4, count - 1) + rest),
        ("written twice", body + body),
        ("first item twice", _plain(4, count + 1) + parts[0] + rest),
        ("map of indices", _plain(5, count) + b"".join(_plain(0, at) + part for at, part in enumerate(parts))),
        ("map with one key twice", _plain(5, count) + b"".join(b"\x00" + part for part in parts)),
        ("empty", b""),
    ]
    forms += [("trailing " + tail.hex(), body + tail) for tail in (b"\0", b"\xf6", b"\xff", b"\x80", draw.randbytes(3))]
    forms += [(f"cut at {cut}", body[:cut]) for cut in range(len(body))]
    return forms
