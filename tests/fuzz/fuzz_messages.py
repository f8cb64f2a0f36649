"""Messages drawn from the schema's tables, fast: hypothesis draws hundreds where these draw millions."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, get_type_hints

from jepa_bridge.link.schema import FIELDS, MESSAGES, Field, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_HOST_TYPE = 16
# where the length of CBOR's integers changes, and the ends of what a small int holds
EDGES = sorted(
    {s * v + d for s in (1, -1) for v in (0, 23, 255, 65535, (1 << 30) - 1) for d in (-1, 0, 1)}  # noqa: RUF100
)
HINTS = {number: get_type_hints(kind) for number, kind in MESSAGES.items()}


def _value(draw: random.Random, field: Field) -> Any:
    if field.nullable and draw.random() < 0.1:
        return None
    how = draw.random()
    if how < 0.15:
        size = field.low
    elif how < 0.3:
        size = field.high
    elif how < 0.6:
        size = min(field.high, max(field.low, draw.choice(EDGES)))
    else:
        size = draw.randint(field.low, field.high)
    if field.kind == "int":
        return size
    if field.kind == "bytes":
        return draw.randbytes(size)
    return "".join(chr(draw.randrange(128)) for _ in range(size))


def message(draw: random.Random, number: int) -> Message:
    """One valid message of the type."""
    values = []
    for field in FIELDS[number]:
        if field.count > 1:
            values.append(tuple(_value(draw, field) for _ in range(field.count)))
            continue
        value = _value(draw, field)
        hint = HINTS[number][field.name]
        values.append(hint(value) if field.kind == "int" and isinstance(hint, type) else value)
    return MESSAGES[number](*values)


def messages(seed: int, count: int) -> Iterator[Message]:
    """So many messages of all types, the same ones for the same seed."""
    draw = random.Random(seed)
    numbers = sorted(MESSAGES)
    for _ in range(count):
        yield message(draw, draw.choice(numbers))
