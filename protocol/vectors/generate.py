"""Write valid.json and invalid.json: frames that every implementation must accept, or refuse.

    python protocol/vectors/generate.py            write the two files
    python protocol/vectors/generate.py --check    exit 1 if either is out of date

Uses no code of either side of the wire: cbor2, zlib and the plain COBS loop below stand for the specification. Only the
fields and their bounds come from bridge.cddl, by the reader in ../generate.py.

valid.json, a list `frames` of
    name, message (rule of the CDDL), from ("device" or "host"),
    frame (hex, with its zeros), body (hex of the CBOR), values (pairs of field and value in the wire's order;
    byte strings in hex, lists as lists)
invalid.json, a list `frames` of
    name, message (what it was made from), why (a sentence), frame (hex),
    reason (what the host's codec answers), cddl (the CBOR alone shows the error, so a CDDL check must refuse it too)
"""

from __future__ import annotations

import importlib.util
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import cbor2

HERE = Path(__file__).resolve().parent
TEXT = "Ab1 ~.-_"

Value = int | str | bytes | None


def load_schema() -> Any:
    spec = importlib.util.spec_from_file_location("protocol_generate", HERE.parent / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.read_schema(module.SOURCE.read_text())


SCHEMA = load_schema()
MAGIC = SCHEMA.constants["frame_magic"]
FRAME_MAX_BYTES = SCHEMA.constants["frame_max_bytes"]
SEED = int.from_bytes(SCHEMA.hash, "big")


# ---- the frame, as PROTOCOL.md says it ----


def cobs(payload: bytes) -> bytes:
    encoded = bytearray()
    run = bytearray()
    for byte in payload:
        if byte == 0:
            encoded.append(len(run) + 1)
            encoded += run
            run.clear()
        else:
            run.append(byte)
    encoded.append(len(run) + 1)
    encoded += run
    return bytes(encoded)


def framed(body: bytes, seed: int, magic: int = MAGIC, damage: int = 0) -> bytes:
    payload = bytes([magic]) + body
    crc = zlib.crc32(payload, seed) ^ damage
    return b"\0" + cobs(payload + struct.pack("<I", crc)) + b"\0"


def seed_of(message: Any) -> int:
    return 0 if message.name == "hello" else SEED


def seed_seen(body: bytes) -> int:
    """The seed that a receiver picks, from the byte where the type number stands in a well-formed body."""
    at = 2 if body[:1] == b"\x98" else 1
    return 0 if body[at : at + 1] == b"\x01" else SEED


# ---- values ----


def at_bound(field_type: Any, *, high: bool) -> Value:
    bound = field_type.high if high else field_type.low
    if field_type.kind == "int":
        return int(bound)
    if field_type.kind == "bytes":
        return bytes([0xFF if high else 0x00]) * bound
    return ("~" if high else " ") * bound


def ordinary(field: Any, index: int, number: int) -> Value:
    """Some value inside, another for every field, so that no two can be exchanged unseen."""
    field_type = field.type
    salt = 37 * number + 11 * index + sum(field.name.encode())
    if field_type.kind == "int":
        return int(field_type.low + salt * 1009 % (field_type.high - field_type.low + 1))
    size = (field_type.low + field_type.high) // 2
    if field_type.kind == "bytes":
        return bytes((salt + 29 * i) % 256 for i in range(size))
    return "".join(TEXT[(salt + i) % len(TEXT)] for i in range(size))


def flat(message: Any) -> list[Any]:
    return [field for field in message.fields for _ in range(field.count)]


def ordinary_items(message: Any) -> list[Value]:
    return [message.number, *(ordinary(field, i, message.number) for i, field in enumerate(flat(message)))]


def named_values(message: Any, items: list[Value]) -> list[tuple[str, Any]]:
    """Pairs, because the order is the wire's and not every JSON reader keeps an object's."""
    shown = [item.hex() if isinstance(item, bytes) else item for item in items[1:]]
    values: list[tuple[str, Any]] = []
    for field in message.fields:
        taken, shown = shown[: field.count], shown[field.count :]
        values.append((field.name, taken if field.count > 1 else taken[0]))
    return values


# ---- valid.json ----


def valid_frames() -> list[dict[str, Any]]:
    frames = []
    for message in SCHEMA.messages:
        cases: dict[str, list[Value]] = {
            "low": [message.number, *(at_bound(field.type, high=False) for field in flat(message))],
            "high": [message.number, *(at_bound(field.type, high=True) for field in flat(message))],
            "ordinary": ordinary_items(message),
        }
        if any(field.type.nullable for field in message.fields):
            nulls = ordinary_items(message)
            for i, field in enumerate(flat(message)):
                if field.type.nullable:
                    nulls[i + 1] = None
            cases["null"] = nulls
        # where an integer's encoding grows by a byte, and the seeds of off-by-ones in hand-written codecs
        for edge in (23, 24, 255, 256, 65535, 65536, -1, -24, -25, -256, -257, -65536, -65537):
            items = ordinary_items(message)
            hit = False
            for i, field in enumerate(flat(message)):
                if field.type.kind == "int" and field.type.enum is None and field.type.low <= edge <= field.type.high:
                    items[i + 1] = edge
                    hit = True
            if hit:
                cases[f"edge {edge}"] = items
        for name, items in cases.items():
            body = cbor2.dumps(items)
            frames.append(
                {
                    "name": f"{message.name}: {name}",
                    "message": message.name,
                    "from": "device" if message.from_device else "host",
                    "frame": framed(body, seed_of(message)).hex(),
                    "body": body.hex(),
                    "values": named_values(message, items),
                }
            )
    return frames


# ---- invalid.json ----


class Invalid:
    """Collects the refused frames of one message."""

    def __init__(self, message: Any, frames: list[dict[str, Any]]) -> None:
        self.message = message
        self.items = ordinary_items(message)
        self.parts = [cbor2.dumps(item) for item in self.items]
        self.body = cbor2.dumps(self.items)
        self.head = self.body[: len(self.body) - sum(map(len, self.parts))]
        self.frames = frames

    def raw(self, name: str, reason: str, why: str, frame: bytes, *, cddl: bool = False) -> None:
        assert frame[0] == frame[-1] == 0
        assert 0 not in frame[1:-1]
        name = f"{self.message.name}: {name}"
        self.frames.append(
            {
                "name": name,
                "message": self.message.name,
                "why": why,
                "frame": frame.hex(),
                "reason": reason,
                "cddl": cddl,
            }
        )

    def of_body(self, name: str, reason: str, why: str, body: bytes, *, cddl: bool = False) -> None:
        """With a right CRC, so that only the body can be the reason."""
        self.raw(name, reason, why, framed(body, seed_seen(body)), cddl=cddl)

    def replaced(self, name: str, reason: str, why: str, index: int, part: bytes, *, cddl: bool = False) -> None:
        """One item's CBOR exchanged; 0 is the type number."""
        parts = [*self.parts]
        parts[index] = part
        self.of_body(name, reason, why, self.head + b"".join(parts), cddl=cddl)


def wide(value: int, width: int) -> bytes:
    """An integer in `width` bytes behind its head, however small it is."""
    major, magnitude = (0x20, -1 - value) if value < 0 else (0, value)
    return bytes([major | {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + magnitude.to_bytes(width, "big")


def refuse_frame(made: Invalid) -> None:
    body, seed = made.body, seed_of(made.message)
    good = framed(body, seed)
    made.raw("CRC damaged", "crc", "one bit of the CRC is wrong", framed(body, seed, damage=0x0400))
    flipped = bytearray(body)
    flipped[-1] ^= 0x01
    crc = struct.pack("<I", zlib.crc32(bytes([MAGIC]) + body, seed))
    made.raw("body damaged", "crc", "one bit of the last field is wrong",
             b"\0" + cobs(bytes([MAGIC]) + bytes(flipped) + crc) + b"\0")  # fmt: skip
    made.raw("CRC big-endian", "crc", "the CRC stands with its bytes turned round",
             b"\0" + cobs(bytes([MAGIC]) + body + crc[::-1]) + b"\0")  # fmt: skip
    if made.message.name == "hello":
        made.raw("seeded", "crc", "HELLO's CRC must not be seeded with the schema hash", framed(body, SEED))
    else:
        made.raw("seed of another schema", "crc", "the CRC continues from another schema's hash",
                 framed(body, SEED ^ 0x01000000))  # fmt: skip
        made.raw("unseeded", "crc", "only HELLO's CRC starts from 0", framed(body, 0))
    for magic in (0x00, 0xB0, 0xB2, 0x31):
        made.raw(f"magic {magic:#04x}", "magic", "the first byte is not B1", framed(body, seed, magic=magic))
    made.raw("first byte lost", "cobs", "COBS runs point beyond the end or the CRC fails", b"\0" + good[2:])
    made.frames[-1]["reason"] = reason_of_chunk(good[2:-1], seed)
    made.raw("last byte lost", "cobs", "the last COBS run points beyond the end", good[:-2] + b"\0")
    made.raw("cut to the magic", "length", "no room for CBOR and CRC", b"\0" + cobs(bytes([MAGIC])) + b"\0")
    made.raw("cut to 5 bytes", "length", "magic and CRC with nothing between",
             b"\0" + cobs(bytes([MAGIC]) + struct.pack("<I", zlib.crc32(bytes([MAGIC]), seed))) + b"\0")  # fmt: skip
    made.of_body("too long by one", "length", f"{FRAME_MAX_BYTES + 1} bytes before COBS",
                 body + bytes(FRAME_MAX_BYTES + 1 - 5 - len(body)))  # fmt: skip


def reason_of_chunk(chunk: bytes, seed: int) -> str:
    """How a chunk that starts in the middle of a frame fails: that depends on where its bytes happen to point."""
    payload = bytearray()
    at = 0
    while at < len(chunk):
        code = chunk[at]
        if at + code > len(chunk):
            return "cobs"
        payload += chunk[at + 1 : at + code]
        at += code
        if at < len(chunk):
            payload.append(0)
    if len(payload) < 6:
        return "length"
    if payload[0] != MAGIC:
        return "magic"
    assert zlib.crc32(payload[:-4], seed) != struct.unpack("<I", payload[-4:])[0]
    return "crc"


def refuse_form(made: Invalid) -> None:
    items, parts, body, head = made.items, made.parts, made.body, made.head
    content = body[len(head) :]
    made.of_body("cut by one byte", "cbor-form", "the last item is incomplete or missing", body[:-1])
    made.of_body("trailing byte", "trailing", "a byte follows the array", body + b"\x00")
    made.of_body("trailing array", "trailing", "a second item follows the array", body + b"\x80")
    made.of_body("indefinite array", "cbor-form", "the array must have a definite length", b"\x9f" + content + b"\xff")
    longer_head = b"\x99" + struct.pack(">H", len(items))
    made.of_body("long array head", "cbor-form", "the array's head is not the shortest", longer_head + content)
    made.of_body("map", "cbor-form", "the body is a map", b"\xa1" + parts[0] + parts[1])
    made.of_body("bare integer", "cbor-form", "the body is no array", parts[0])
    made.of_body("tagged array", "cbor-form", "tags are not used", b"\xd9\xd9\xf7" + body)
    made.replaced(
        "wide type", "cbor-form", "the type number is not in its shortest encoding", 0, wide(made.message.number, 1)
    )
    for width in (2, 4, 8):
        made.replaced(
            f"session 5 in {width} bytes", "cbor-form", "an integer is not in its shortest encoding", 2, wide(5, width)
        )
    made.replaced("seq as bignum", "cbor-form", "a bignum tag is not the shortest encoding", 1, b"\xc2\x41\x0a")
    made.replaced("break inside", "cbor-form", "a break outside of an indefinite item", 1, b"\xff")
    made.replaced("reserved head", "cbor-form", "additional information 28 is reserved", 1, b"\x1c")
    made.of_body("one item too few", "items", "the last field is missing", cbor2.dumps(items[:-1]), cddl=True)
    made.of_body("one item too many", "items", "there is a field too many", cbor2.dumps([*items, 0]), cddl=True)
    made.of_body("type alone", "items", "all fields are missing", cbor2.dumps(items[:1]), cddl=True)


def refuse_kinds(made: Invalid) -> None:
    """Values of a wrong kind, in the header and in the last field."""
    kinds: dict[str, bytes] = {
        "float16": b"\xf9\x3c\x00",
        "float32": b"\xfa\x3f\x80\x00\x00",
        "float64": b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00",
        "false": b"\xf4",
        "true": b"\xf5",
        "undefined": b"\xf7",
        "simple value": b"\xf0",
        "array": b"\x81\x01",
        "map": b"\xa0",
        "epoch tag": b"\xc1\x01",
        "unknown tag": b"\xd8\x63\x01",
        "64-bit integer": wide(1 << 40, 8),
        "64-bit negative": wide(-(1 << 40), 8),
        "largest integer": wide((1 << 64) - 1, 8),
        "bignum": b"\xc2\x49" + (1 << 64).to_bytes(9, "big"),
    }
    flats = flat(made.message)
    for index in {3, len(flats)}:
        field = flats[index - 1]
        own = dict(kinds)
        if not field.type.nullable:
            own["null"] = b"\xf6"
        if field.type.kind != "bytes":
            own["byte string"] = cbor2.dumps(b"12345")
        if field.type.kind != "text":
            own["text"] = cbor2.dumps("12345")
        if field.type.kind == "text":
            own["integer"] = b"\x05"
        for name, part in own.items():
            made.replaced(
                f"{field.name} is {name}", "field", f"{field.name} is of another kind", index, part, cddl=True
            )


def refuse_bounds(made: Invalid) -> None:
    flats = flat(made.message)
    for i, field in enumerate(flats):
        label = f"{field.name}[{i - flats.index(field)}]" if field.count > 1 else field.name
        low, high = field.type.low, field.type.high
        if field.type.kind == "int":
            over: dict[str, Value] = {"too low": low - 1, "too high": high + 1}
        else:
            fill: Any = b"x" if field.type.kind == "bytes" else "x"
            over = {"too long": fill * (high + 1)} | ({"too short": fill * (low - 1)} if low else {})
        for how, value in over.items():
            made.replaced(
                f"{label} {how}", "field", f"{label} must be in {low}..{high}", i + 1, cbor2.dumps(value), cddl=True
            )
        if field.type.kind == "text":
            # in UTF-8, so the CDDL finds nothing wrong with it
            made.replaced(f"{label} not ASCII", "field", "texts are ASCII", i + 1, cbor2.dumps("é"))
            made.replaced(f"{label} not UTF-8", "cbor-form", "a text string must be UTF-8", i + 1, b"\x62\xff\xfe")
            made.replaced(f"{label} in chunks", "cbor-form", "strings have a definite length", i + 1, b"\x7f\x61x\xff")
        if field.type.kind == "bytes":
            chunks = b"\x5f\x44abcd\xff"
            made.replaced(f"{label} in chunks", "cbor-form", "strings have a definite length", i + 1, chunks)
            made.replaced(
                f"{label} long head", "cbor-form", "a string's head is not the shortest", i + 1, b"\x58\x04abcd"
            )


def refuse_types(made: Invalid) -> None:
    known = {message.number for message in SCHEMA.messages}
    for number in (0, 6, 15, 24, 255, 65536, -1, -2):
        assert number not in known
        why = "no message has this type number"
        made.replaced(f"type {number}", "type", why, 0, cbor2.dumps(number), cddl=True)
    made.replaced("type is text", "type", "the type is a number", 0, cbor2.dumps("2"), cddl=True)
    made.replaced("type is null", "type", "the type is a number", 0, b"\xf6", cddl=True)
    made.of_body("empty array", "type", "there is no type number", b"\x80", cddl=True)


def invalid_frames() -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    for message in SCHEMA.messages:
        made = Invalid(message, frames)
        refuse_frame(made)
        refuse_form(made)
        refuse_kinds(made)
        refuse_bounds(made)
        if message.name == "time_sync":
            refuse_types(made)
    names = [frame["name"] for frame in frames]
    assert len(set(names)) == len(names)
    return frames


def document(frames: list[dict[str, Any]]) -> str:
    """JSON with a frame a line, so that a change of one shows as one."""
    lines = ",\n".join("  " + json.dumps(frame) for frame in frames)
    return f'{{"schema_hash": "{SCHEMA.hash.hex()}", "frames": [\n{lines}\n]}}\n'


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    for name, frames in (("valid.json", valid_frames()), ("invalid.json", invalid_frames())):
        path, text = HERE / name, document(frames)
        if not check:
            path.write_text(text)
            print(f"{name}: {len(frames)} frames")
        elif not path.exists() or path.read_text() != text:
            print(f"{name} is out of date: run python protocol/vectors/generate.py", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
