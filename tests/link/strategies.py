"""Messages drawn from the schema's own tables."""

from __future__ import annotations

from typing import Any, get_type_hints

from hypothesis import strategies as st

from jepa_bridge.link.schema import FIELDS, MESSAGES, Field, Message

ASCII = st.characters(min_codepoint=0, max_codepoint=127)


def _value(field: Field) -> st.SearchStrategy[Any]:
    one: st.SearchStrategy[Any]
    if field.kind == "int":
        one = st.integers(field.low, field.high)
    elif field.kind == "bytes":
        one = st.binary(min_size=field.low, max_size=field.high)
    else:
        one = st.text(ASCII, min_size=field.low, max_size=field.high)
    if field.nullable:
        one = st.none() | one
    return st.tuples(*[one] * field.count) if field.count > 1 else one


def _message(number: int) -> st.SearchStrategy[Message]:
    kind = MESSAGES[number]
    hints = get_type_hints(kind)

    def build(values: tuple[Any, ...]) -> Message:
        made = []
        for field, value in zip(FIELDS[number], values, strict=True):
            hint = hints[field.name]
            made.append(hint(value) if field.kind == "int" and isinstance(hint, type) else value)
        return kind(*made)

    return st.tuples(*map(_value, FIELDS[number])).map(build)


messages: st.SearchStrategy[Message] = st.sampled_from(sorted(MESSAGES)).flatmap(_message)
