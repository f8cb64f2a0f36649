"""Codec and framing under drawn messages, damage, splits and noise."""

from __future__ import annotations

import dataclasses
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepa_bridge.link.codec import decode, decode_payload, encode, frame_of
from jepa_bridge.link.frame import (
    ENCODED_MAX_BYTES,
    TEXT_KEPT_BYTES,
    FrameError,
    FrameReader,
    cobs_decode,
    cobs_encode,
    encode_frame,
)
from jepa_bridge.link.schema import FIELDS, MESSAGES, SCHEMA_HASH, Cmd, Hello, Message, ResetCause, Sensor

from .strategies import messages

SENSOR = Sensor(1, 2, 3, (1000,) * 7 + (None,), (5,) * 8, -1, 2, 3, 4, 5, 6, 7, None, 0)


def read_all(reader: FrameReader, *pieces: bytes) -> list[Message]:
    read = []
    for piece in pieces:
        for payload in reader.feed(piece):
            try:
                read.append(decode_payload(payload))
            except FrameError:
                continue
    return read


@given(messages)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message
    (payload,) = FrameReader().feed(frame_of(message))
    assert decode_payload(payload) == message


@given(st.binary(max_size=123))
def test_random_bytes_never_decode_to_what_would_be_written_differently(body: bytes) -> None:
    try:
        message = decode(body)
    except FrameError:
        return
    assert encode(message) == body


@given(messages, st.data())
def test_an_exchanged_item_is_refused_or_is_another_valid_message(message: Message, data: st.DataObject) -> None:
    items: list[Any] = cbor2.loads(encode(message))
    at = data.draw(st.integers(0, len(items) - 1))
    items[at] = data.draw(
        st.integers(-(1 << 65), 1 << 65)
        | st.floats()
        | st.booleans()
        | st.none()
        | st.text(max_size=20)
        | st.binary(max_size=20)
        | st.lists(st.integers(), max_size=2)
    )
    body = cbor2.dumps(items)
    try:
        decoded = decode(body)
    except FrameError:
        return
    assert encode(decoded) == body


@given(st.binary(max_size=253))
def test_cobs_leaves_no_zero_and_loses_nothing(payload: bytes) -> None:
    encoded = cobs_encode(payload)
    assert 0 not in encoded
    assert len(encoded) == len(payload) + 1
    assert cobs_decode(encoded) == payload


@given(st.lists(messages, min_size=1, max_size=6), st.data())
def test_frames_may_arrive_in_any_pieces(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(map(frame_of, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read_all(FrameReader(), *pieces) == sent


@given(
    st.lists(messages, min_size=3, max_size=8),
    st.sampled_from(["insert", "lose", "flip"]),
    st.binary(min_size=1, max_size=200),
    st.data(),
)
def test_one_damage_costs_at_most_two_frames_and_forges_none(
    sent: list[Message], how: str, noise: bytes, data: st.DataObject
) -> None:
    stream = b"".join(map(frame_of, sent))
    at = data.draw(st.integers(0, len(stream) - 1))
    if how == "insert":
        stream = stream[:at] + noise + stream[at:]
    elif how == "lose":  # fewer bytes than the shortest frame has, so it touches at most two
        stream = stream[:at] + stream[at + data.draw(st.integers(1, 10)) :]
    else:
        stream = stream[:at] + bytes([stream[at] ^ data.draw(st.integers(1, 255))]) + stream[at + 1 :]
    read = read_all(FrameReader(), stream)
    assert len(read) >= len(sent) - 2
    left = iter(sent)
    assert all(message in left for message in read)  # in order, and nothing that was not sent


@settings(max_examples=30)
@given(st.lists(st.binary(min_size=1, max_size=2000).map(lambda noise: noise.replace(b"\0", b"\1")), max_size=40))
def test_endless_garbage_takes_bounded_memory_and_ends_at_the_next_zero(noise: list[bytes]) -> None:
    reader = FrameReader()
    for piece in noise:
        reader.feed(piece)
        assert len(reader.text) <= TEXT_KEPT_BYTES
        assert len(reader._partial) <= ENCODED_MAX_BYTES
    assert read_all(reader, frame_of(SENSOR)) == [SENSOR]
    if sum(map(len, noise)) > ENCODED_MAX_BYTES:  # shorter noise may happen to look like a frame
        assert reader.garbage_bytes == sum(map(len, noise))
    assert reader.bytes_received == sum(map(len, noise)) + len(frame_of(SENSOR))


def test_empty_frames_are_skipped_without_being_counted() -> None:
    reader = FrameReader()
    assert read_all(reader, bytes(50) + frame_of(SENSOR) + bytes(50)) == [SENSOR]
    assert (reader.frames, reader.frames_bad, reader.garbage_bytes) == (1, 0, 0)


def test_text_before_a_frame_is_kept_for_a_person_to_read() -> None:
    reader = FrameReader()
    assert read_all(reader, b"MicroPython v1.28\r\n>>> ") == []
    assert reader.text.endswith(b">>> ")
    assert read_all(reader, frame_of(SENSOR)) == [SENSOR]
    assert reader.text.endswith(b">>> ")
    assert reader.frames_bad == 1


def test_a_frame_of_another_schema_fails_and_its_hello_explains_itself() -> None:
    other_seed = int.from_bytes(SCHEMA_HASH, "big") ^ 1
    (payload,) = FrameReader().feed(encode_frame(encode(SENSOR), other_seed))
    with pytest.raises(FrameError) as error:
        decode_payload(payload)
    assert error.value.reason == "crc"
    hello = Hello(0, 0, 0, 200, b"\1\2\3\4", b"uid!", 1, "2.0", "board", ResetCause.UNKNOWN, 0, 50, 2000, 80, 500, 0)
    (payload,) = FrameReader().feed(frame_of(hello))
    assert decode_payload(payload) == hello


@pytest.mark.parametrize("number", sorted(MESSAGES))
def test_encode_refuses_what_must_not_be_sent(number: int) -> None:
    base = {field.name: (field.low,) * field.count if field.count > 1 else field.low for field in FIELDS[number]}
    for field in FIELDS[number]:
        if field.kind != "int":
            base[field.name] = b"1234" if field.kind == "bytes" else "text"  # type: ignore[assignment]
    message = MESSAGES[number](**base)  # type: ignore[arg-type]
    encode(message)
    for field in FIELDS[number]:
        wrong: list[Any] = [field.high + 1, field.low - 1, 1.0, True, "é", []]
        for value in wrong if field.kind == "int" else ["x" * (field.high + 1), b"x" * (field.high + 1), 5, None, "é"]:
            bad = (value,) * field.count if field.count > 1 else value
            with pytest.raises(FrameError):
                encode(dataclasses.replace(message, **{field.name: bad}))


def test_a_list_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(FrameError, match="items"):
        encode(dataclasses.replace(SENSOR, ranges_mm=(1,) * 7))


def test_a_body_too_long_for_a_frame_is_refused() -> None:
    with pytest.raises(FrameError, match="length"):
        encode_frame(bytes(124), 0)


def test_errors_name_field_expectation_and_value() -> None:
    with pytest.raises(FrameError, match=r"left_wheel: expected an integer in -80..80, got 81"):
        encode(Cmd(1, 2, 3, 81, 0, 5))
