"""Write both sides' schema tables from bridge.cddl.

    python protocol/generate.py            write the two files
    python protocol/generate.py --check    exit 1 if either is out of date

Reads the subset of CDDL (RFC 8610) that bridge.cddl is written in: integer constants, ranges, `bstr`/`tstr .size`,
`/ nil`, enumerations `&( name: value, ... )`, arrays of named fields, and choices of rules. Anything else is an error
here, so the subset cannot be left by accident.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "bridge.cddl"
HOST_FILE = HERE.parent / "host" / "jepa_bridge" / "link" / "schema.py"
FIRMWARE_FILE = HERE.parent / "firmware" / "schema.py"

HEADER = ("seq", "session", "t_us")  # every message's first fields after its type number


class SchemaError(Exception):
    """bridge.cddl says something that this generator does not read."""


@dataclass(frozen=True)
class FieldType:
    kind: str  # "int", "bytes", "text"
    low: int  # smallest value, or smallest length
    high: int
    nullable: bool = False
    enum: str | None = None  # name of the enumeration that lists the values


@dataclass(frozen=True)
class Field:
    name: str
    type: FieldType
    count: int = 1  # more than 1: a list written as `name.item` fields


@dataclass(frozen=True)
class Message:
    name: str
    number: int
    from_device: bool
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Schema:
    hash: bytes
    constants: dict[str, int]
    enums: dict[str, dict[str, int]]
    messages: tuple[Message, ...]


def strip(text: str) -> str:
    """CDDL without comments, white space folded: what the schema hash is taken over."""
    return re.sub(r"\s+", " ", re.sub(r";[^\n]*", "", text)).strip()


def read_rules(text: str) -> dict[str, str]:
    parts = re.split(r"(?:^|\s)([A-Za-z][\w-]*) = ", strip(text))
    if parts[0].strip():
        raise SchemaError(f"expected a rule at the start, got {parts[0]!r}")
    names = parts[1::2]
    if len(set(names)) != len(names):
        raise SchemaError("a rule is defined twice")
    return dict(zip(names, (body.strip() for body in parts[2::2]), strict=True))


def read_enum(body: str) -> dict[str, int] | None:
    match = re.fullmatch(r"&\((.*)\)", body)
    if match is None:
        return None
    values: dict[str, int] = {}
    for item in match[1].split(","):
        name, _, value = item.partition(":")
        values[name.strip()] = int(value)
    return values


def read_type(name: str, rules: dict[str, str], enums: dict[str, dict[str, int]]) -> FieldType:
    if name in enums:
        values = sorted(enums[name].values())
        if values != list(range(values[0], values[-1] + 1)):
            raise SchemaError(f"enumeration {name} has gaps, so a receiver cannot check it as a range")
        return FieldType("int", values[0], values[-1], enum=name)
    if name not in rules:
        raise SchemaError(f"field type {name} has no rule")
    body = rules[name]
    nullable = body.endswith("/ nil")
    body = body.removesuffix("/ nil").strip()
    if match := re.fullmatch(r"(\d+)\.\.(\d+)", body):
        return FieldType("int", int(match[1]), int(match[2]), nullable)
    if match := re.fullmatch(r"\(int \.ge (-?\d+)\) \.and \(int \.le (-?\d+)\)", body):
        return FieldType("int", int(match[1]), int(match[2]), nullable)
    if match := re.fullmatch(r"(bstr|tstr) \.size (?:(\d+)|\((\d+)\.\.(\d+)\))", body):
        low, high = (match[2], match[2]) if match[2] else (match[3], match[4])
        return FieldType("bytes" if match[1] == "bstr" else "text", int(low), int(high), nullable)
    raise SchemaError(f"rule {name}: expected a range, an enumeration or a sized string, got {body!r}")


def read_message(name: str, from_device: bool, rules: dict[str, str], enums: dict[str, dict[str, int]]) -> Message:
    match = re.fullmatch(r"\[(.*)\]", rules[name])
    if match is None:
        raise SchemaError(f"message {name}: expected one array")
    pairs = [tuple(part.strip() for part in item.split(":")) for item in match[1].split(",")]
    if pairs[0][0] != "type" or tuple(pair[0] for pair in pairs[1:4]) != HEADER:
        raise SchemaError(f"message {name}: expected type, {', '.join(HEADER)} first")
    fields: list[Field] = []
    for field_name, type_name in pairs[1:]:
        base, dot, _ = field_name.partition(".")
        field_type = read_type(type_name, rules, enums)
        if dot and fields and fields[-1].name == base:
            if fields[-1].type != field_type:
                raise SchemaError(f"message {name}: items of {base} differ in type")
            fields[-1] = Field(base, field_type, fields[-1].count + 1)
        else:
            fields.append(Field(base, field_type))
    if len({field.name for field in fields}) != len(fields):
        raise SchemaError(f"message {name}: a field name stands twice")
    return Message(name, int(pairs[0][1]), from_device, tuple(fields))


def read_schema(text: str) -> Schema:
    rules = read_rules(text)
    enums = {name: enum for name, body in rules.items() if (enum := read_enum(body)) is not None}
    constants = {name: int(body) for name, body in rules.items() if re.fullmatch(r"\d+", body)}
    messages = tuple(
        read_message(name.strip(), choice == "device-message", rules, enums)
        for choice in ("device-message", "host-message")
        for name in rules[choice].split("/")
    )
    if len({message.number for message in messages}) != len(messages):
        raise SchemaError("two messages share a type number")
    return Schema(hashlib.sha256(strip(text).encode()).digest()[:4], constants, enums, messages)


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def host_module(schema: Schema) -> str:
    out = [
        '"""Messages of the wire. Generated from protocol/bridge.cddl by protocol/generate.py: do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "from dataclasses import dataclass",
        "from enum import IntEnum",
        "from typing import ClassVar",
        "",
        f"SCHEMA_HASH = bytes.fromhex({schema.hash.hex()!r})".replace("'", '"'),
    ]
    out += [f"{name.upper()} = {value}" for name, value in schema.constants.items()]
    for name, values in schema.enums.items():
        out += ["", "", f"class {camel(name)}(IntEnum):", f'    """Values of `{name}` on the wire."""', ""]
        out += [f"    {item.upper()} = {value}" for item, value in values.items()]
    out += [
        "",
        "",
        "@dataclass(frozen=True, slots=True)",
        "class Field:",
        '    """One field: `low`..`high` bounds an integer, or the length of a string."""',
        "",
        "    name: str",
        "    kind: str",
        "    low: int",
        "    high: int",
        "    nullable: bool",
        "    count: int",
    ]
    for message in schema.messages:
        out += ["", "", "@dataclass(frozen=True, slots=True)", f"class {camel(message.name)}:"]
        sender = "robot" if message.from_device else "host"
        out += [f'    """{message.name.upper()}, sent by the {sender}; see protocol/PROTOCOL.md."""', ""]
        out += [f"    TYPE: ClassVar[int] = {message.number}", ""]
        out += [f"    {field.name}: {annotation(field)}" for field in message.fields]
    for side, chosen in (("Device", True), ("Host", False)):
        names = [camel(m.name) for m in schema.messages if m.from_device is chosen]
        out += ["", "", *union(f"{side}Message", names)] if chosen else union(f"{side}Message", names)
    out += ["Message = DeviceMessage | HostMessage", ""]
    out += ["MESSAGES: dict[int, type[Message]] = {"]
    out += [f"    {message.number}: {camel(message.name)}," for message in schema.messages]
    out += ["}", "", "FIELDS: dict[int, tuple[Field, ...]] = {"]
    for message in schema.messages:
        out += [f"    {message.number}: ("]
        for field in message.fields:
            t = field.type
            out += [f'        Field("{field.name}", "{t.kind}", {t.low}, {t.high}, {t.nullable}, {field.count}),']
        out += ["    ),"]
    out += ["}", ""]
    return "\n".join(out)


def union(name: str, members: list[str]) -> list[str]:
    return [f"{name} = {' | '.join(members)}"]


def annotation(field: Field) -> str:
    python = {"int": "int", "bytes": "bytes", "text": "str"}[field.type.kind]
    if field.type.enum is not None:
        python = camel(field.type.enum)
    if field.type.nullable:
        python += " | None"
    return f"tuple[{python}, ...]" if field.count > 1 else python


def firmware_module(schema: Schema) -> str:
    out = [
        "# Tables of the wire. Generated from protocol/bridge.cddl by protocol/generate.py: do not edit.",
        "",
        "from micropython import const",
        "",
        f"SCHEMA_HASH = {schema.hash!r}",
        "# the CRC seed in halves: one 32-bit number would not be a small int on the microcontroller",
        f"CRC_SEED_HIGH = const(0x{schema.hash[0:2].hex()})",
        f"CRC_SEED_LOW = const(0x{schema.hash[2:4].hex()})",
        "",
    ]
    out += [f"{name.upper()} = const({value})" for name, value in schema.constants.items()]
    out += ["", "# message types"]
    out += [f"{message.name.upper()} = const({message.number})" for message in schema.messages]
    for name, values in schema.enums.items():
        out += ["", f"# {name}"]
        out += [f"{name.upper()}_{item.upper()} = const({value})" for item, value in values.items()]
    out += ["", "# number of CBOR items of a message, its type number included"]
    for message in schema.messages:
        out += [f"{message.name.upper()}_ITEMS = const({1 + sum(field.count for field in message.fields)})"]
    out += ["", "# index of a field among a message's items"]
    for message in schema.messages:
        index = 1
        for field in message.fields:
            if field.name not in HEADER:
                out += [f"{message.name.upper()}_{field.name.upper()} = const({index})"]
            index += field.count
    out += [
        "",
        "# What the device accepts from a host: (lowest, highest) of each item after the type, all integers.",
        "HOST_LIMITS = {",
    ]
    for message in schema.messages:
        if message.from_device:
            continue
        if any(field.type.kind != "int" or field.type.nullable for field in message.fields):
            raise SchemaError(f"{message.name}: a message to the device holds integers only")
        limits = ", ".join(f"({f.type.low}, {f.type.high})" for f in message.fields for _ in range(f.count))
        out += [f"    {message.number}: ({limits}),"]
    out += ["}", ""]
    return "\n".join(out)


def main(arguments: list[str]) -> int:
    schema = read_schema(SOURCE.read_text())
    stale = []
    for path, text in ((HOST_FILE, host_module(schema)), (FIRMWARE_FILE, firmware_module(schema))):
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path}")
    if "--check" in arguments and stale:
        print(f"out of date: {', '.join(map(str, stale))}; run: python protocol/generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
