"""Codec and framing at their bounds, one by one: what drawn data meets too seldom to rely on."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Any

import cbor2
import pytest

from jepa_bridge.link.codec import (
    body_of_payload,
    decode,
    decode_payload,
    encode,
    frame_of,
    frame_of_body,
    seed_of_type,
)
from jepa_bridge.link.frame import (
    CRC_BYTES,
    ENCODED_MAX_BYTES,
    HELLO_SEED,
    MAGIC,
    PAYLOAD_MIN_BYTES,
    REASONS,
    SCHEMA_SEED,
    TEXT_KEPT_BYTES,
    FrameError,
    FrameReader,
    check_payload,
    cobs_decode,
    cobs_encode,
    encode_frame,
)
from jepa_bridge.link.schema import (
    FIELDS,
    MESSAGES,
    SCHEMA_HASH,
    Ack,
    Arm,
    Cmd,
    Hello,
    Log,
    Result,
    Sensor,
    State,
    Status,
)

CMD = Cmd(1, 2, 3, -80, 80, 5)
LINE = frame_of(CMD)
SENSOR = Sensor(1, 2, 3, (1000,) * 7 + (None,), (5,) * 8, -1, 2, 3, 4, 5, 6, 7, None, 0)


def reason_of(call: Any, *args: Any) -> str:
    with pytest.raises(FrameError) as error:
        call(*args)
    assert error.value.reason in REASONS
    assert str(error.value) == f"{error.value.reason}: {error.value.detail}"
    return error.value.reason


def reader_with_log() -> tuple[FrameReader, list[tuple[bytes, str]]]:
    log: list[tuple[bytes, str]] = []
    return FrameReader(lambda chunk, reason: log.append((chunk, reason))), log


# ---- COBS and frames ------------------------------------------------------------------------------------


def test_the_frames_numbers_are_the_protocols() -> None:
    assert (MAGIC, CRC_BYTES, PAYLOAD_MIN_BYTES, ENCODED_MAX_BYTES, TEXT_KEPT_BYTES) == (b"\xb1", 4, 6, 129, 256)
    assert HELLO_SEED == 0
    assert SCHEMA_SEED.to_bytes(4, "big") == SCHEMA_HASH
    assert seed_of_type(Hello.TYPE) == HELLO_SEED
    assert {seed_of_type(number) for number in MESSAGES if number != Hello.TYPE} == {SCHEMA_SEED}


def test_cobs_takes_at_most_253_bytes() -> None:
    for payload in (b"", b"\0", bytes(253), b"\x07" * 253):
        assert cobs_decode(cobs_encode(payload)) == payload
    with pytest.raises(ValueError, match=r"expected at most 253 bytes, got 254"):
        cobs_encode(bytes(254))


@pytest.mark.parametrize(
    ("chunk", "behind"), [(b"", 0), (b"\x02", 1), (b"\x01\x03\x05", 1), (b"\x04", 3), (b"\x02\x05\xff", 254)]
)
def test_what_is_no_cobs_says_how_far_it_runs(chunk: bytes, behind: int) -> None:
    with pytest.raises(FrameError, match=rf"^cobs: the last run ends {behind} bytes behind the chunk$"):
        cobs_decode(chunk)


def test_payloads_have_6_to_128_bytes_and_the_magic() -> None:
    for length in (6, 7, 127, 128):
        check_payload(MAGIC + bytes(length - 1))
    for length in (0, 1, 5, 129):
        with pytest.raises(FrameError, match=rf"^length: expected 6 to 128 bytes, got {length}$"):
            check_payload((MAGIC + bytes(200))[:length])
    with pytest.raises(FrameError, match=r"^magic: expected 0xb1 first, got 0xb0$"):
        check_payload(b"\xb0" + bytes(9))


def test_a_body_has_at_most_123_bytes() -> None:
    body = bytes(range(123))
    line = encode_frame(body, 7)
    payload = b"\xb1" + body
    assert line == b"\0" + cobs_encode(payload + zlib.crc32(payload, 7).to_bytes(4, "little")) + b"\0"
    assert len(line) == 131
    with pytest.raises(FrameError, match=r"^length: expected at most 128 bytes, got 129$"):
        encode_frame(bytes(124), 7)


@pytest.mark.parametrize("step", [1, 100, 129, 130, 131, 1000])
@pytest.mark.parametrize("length", [128, 129, 130, 131, 300])
def test_runs_longer_than_any_frame_are_dropped_as_they_come(length: int, step: int) -> None:
    reader, log = reader_with_log()
    run = b"\x01" * length  # good COBS: zeros
    stream = run + LINE
    payloads = []
    for start in range(0, len(stream), step):
        payloads += reader.feed(stream[start : start + step])
        assert len(reader._partial) <= ENCODED_MAX_BYTES
    assert [decode_payload(payload) for payload in payloads] == [CMD]
    assert b"".join(chunk for chunk, _ in log) == run
    if length >= 130:
        assert {reason for _, reason in log} == {"length"}
    else:
        assert {reason for _, reason in log} == {"magic"}
    assert (reader.frames, reader.frames_bad) == (1, 1)
    assert (reader.garbage_bytes, reader.bytes_received) == (length, len(stream))
    assert reader.text == run[-TEXT_KEPT_BYTES:]


def test_a_run_is_dropped_once_it_is_too_long_and_not_before() -> None:
    reader, log = reader_with_log()
    reader.feed(b"\xff" * 129)
    assert log == []
    assert reader.text == b"\xff" * 129, "what waits is shown as well"
    reader.feed(b"\xfe")
    assert log == [(b"\xff" * 129 + b"\xfe", "length")]
    assert reader.frames_bad == 0, "the run has not ended"
    reader.feed(b"\xfd\xfd\0\0")
    assert log[1:] == [(b"\xfd\xfd", "length")]
    assert reader.frames_bad == 1
    reader.feed(b"\xff" * 200)
    reader.feed(b"\0")
    assert reader.frames_bad == 2
    assert len(log) == 3, "nothing is said of no bytes"


def test_garbage_is_handed_over_with_its_reason() -> None:
    reader, log = reader_with_log()
    assert reader.feed(b"\0\x09no\0" + b"\x05text\0" + b"\x07\xb0sixes\0" + LINE) != []
    assert [reason for _, reason in log] == ["cobs", "length", "magic"]
    assert reader.frames_bad == 3
    assert reader.feed(b"\x08\xb0seven!\0\0") == []
    assert log[-1] == (b"\x08\xb0seven!", "magic")
    assert reader.feed(b"\xff" * 130 + b"\0") == []
    assert log[-1] == (b"\xff" * 130, "length"), "its length is told first, whatever it is made of"


def test_a_reader_without_an_ear_counts_all_the_same() -> None:
    reader = FrameReader()
    assert reader.feed(b"\x05text\0") == []
    assert (reader.frames, reader.frames_bad, reader.garbage_bytes, reader.bytes_received) == (0, 1, 5, 6)


def test_reset_forgets_what_had_begun() -> None:
    reader = FrameReader()
    reader.feed(LINE[:9])
    reader.reset()
    assert reader.text == b""
    assert len(reader.feed(LINE)) == 1
    reader.feed(b"\xff" * 500)
    reader.reset()
    assert len(reader.feed(LINE[1:])) == 1, "on the new port nothing is being skipped"
    assert reader.frames_bad == 0


# ---- bodies ---------------------------------------------------------------------------------------------


def test_bodies_that_are_no_array_of_plain_items_are_refused() -> None:
    for body in (b"", b"\x84", b"\xff", b"\x1c", b"\x81", b"\x9f\x01"):
        assert reason_of(decode, body) == "cbor-form"
    for value in (5, "text", b"bytes", None, {}, {1: 2}, cbor2.CBORTag(55799, [1])):
        with pytest.raises(FrameError, match=r"^cbor-form: expected an array, got "):
            decode(cbor2.dumps(value))
    for item in (1.5, True, [], {}, cbor2.undefined, cbor2.CBORSimpleValue(99), cbor2.CBORTag(1, 5)):
        with pytest.raises(FrameError, match=r"^field: expected integers, strings and null only$"):
            decode(cbor2.dumps([18, 1, 2, item]))


def test_what_follows_the_array_is_counted() -> None:
    body = encode(CMD)
    for tail in (b"\0", b"\xff\xff", body):
        with pytest.raises(FrameError, match=rf"^trailing: {len(tail)} bytes follow the array$"):
            decode(body + tail)
    with pytest.raises(FrameError, match=r"^cbor-form: not a definite-length array in its shortest encoding$"):
        decode(b"\x9f" + body[1:] + b"\xff")


def test_types_and_counts_are_checked_before_fields() -> None:
    for items in ([], [0], [-1], [24], ["a"], [None], [b"x", 1], [1 << 70]):
        shown = repr(items[0]) if items else "None"
        with pytest.raises(FrameError) as error:
            decode(cbor2.dumps(items))
        assert str(error.value) == f"type: no message has type {shown}"
    for items, got in (([19], 0), ([19, 1, 1, 1, 1, 1], 5), ([19, *[1] * 7], 7)):
        with pytest.raises(FrameError, match=rf"^items: expected 6 fields, got {got}$"):
            decode(cbor2.dumps(items))


def test_lists_enumerations_and_nulls_come_back_as_they_are() -> None:
    assert decode(encode(SENSOR)) == SENSOR
    assert type(decode(encode(SENSOR)).ranges_mm) is tuple  # type: ignore[union-attr]
    status = Status(1, 2, 3, State.DRIVING, 0, 9, -80, 80, 1, 2, 3, 4, 5, 6, 7)  # type: ignore[arg-type]
    decoded = decode(encode(status))
    assert isinstance(decoded, Status)
    assert (type(decoded.state), type(decoded.fault).__name__) == (State, "Fault")
    ack = decode(encode(Ack(1, 2, 3, 16, 5, Result.OUT_OF_RANGE, 6)))
    assert isinstance(ack, Ack)
    assert ack.result is Result.OUT_OF_RANGE


@pytest.mark.parametrize("number", sorted(MESSAGES))
def test_every_field_is_held_to_its_bounds_and_kind(number: int) -> None:
    low: dict[str, Any] = {}
    for field in FIELDS[number]:
        one: Any = {"int": field.low, "bytes": b"a" * field.low, "text": "a" * field.low}[field.kind]
        low[field.name] = (one,) * field.count if field.count > 1 else one
    message = MESSAGES[number](**low)
    assert decode(encode(message)) == message
    for field in FIELDS[number]:
        unit: Any = {"int": 1, "bytes": b"a", "text": "a"}[field.kind]
        for value, right in (
            (unit * field.low, True),
            (unit * field.high, True),
            (unit * (field.high + 1), False),
            (unit * (field.low - 1) if field.kind == "int" or field.low else 1.5, False),
            (None, field.nullable),
            (True, False),
            (0.5, False),
            ("é" if field.kind != "int" else "5", False),
            (b"aaaa" if field.kind != "bytes" else "aaaa", False),
        ):
            for at in range(field.count):
                values = list(low[field.name]) if field.count > 1 else [value]
                values[at] = value
                wrong = dataclasses.replace(message, **{field.name: tuple(values) if field.count > 1 else value})
                if right:
                    assert decode(encode(wrong)) == wrong
                else:
                    with pytest.raises(FrameError) as error:
                        encode(wrong)
                    assert error.value.reason == "field"
                    assert str(error.value).startswith(f"field: {field.name}: expected ")
                    assert str(error.value).endswith(f"got {value!r}")


def test_a_message_of_which_nothing_is_right_is_refused() -> None:
    for items in ([18, -1, -1, -1], [18, "a", b"b", None], [19, -1, -1, -1, 81, -81, 1 << 30]):
        assert reason_of(decode, cbor2.dumps(items)) == "field"
    assert reason_of(encode, Arm(-1, 1 << 30, -1)) == "field"


def test_a_refused_field_says_what_was_expected() -> None:
    for message, text in (
        (dataclasses.replace(CMD, left_wheel=81), "left_wheel: expected an integer in -80..80, got 81"),
        (dataclasses.replace(SENSOR, battery_mv=-1), "or null, got -1"),
        (Log(1, 2, 3, 0, 1, "x" * 65), "text: expected an ASCII text, its length in 0..64, got 'xxx"),  # type: ignore[arg-type]
    ):
        with pytest.raises(FrameError) as error:
            encode(message)
        assert text in str(error.value)
    with pytest.raises(FrameError, match=r"^items: ranges_mm: expected 8 items, got 9$"):
        encode(dataclasses.replace(SENSOR, ranges_mm=(1,) * 9))


# ---- CRC ------------------------------------------------------------------------------------------------


def payload_of(body: bytes, seed: int) -> bytes:
    payload = MAGIC + body
    return payload + zlib.crc32(payload, seed).to_bytes(4, "little")


def test_the_seed_is_picked_by_the_type_behind_a_short_or_a_long_head() -> None:
    hellos = [cbor2.dumps([Hello.TYPE, 5]), cbor2.dumps([Hello.TYPE, *range(24)])]
    others = [cbor2.dumps([Sensor.TYPE, Hello.TYPE]), cbor2.dumps([Sensor.TYPE, *[Hello.TYPE] * 24]), b"\x98", b"\x80"]
    for bodies, right, wrong in ((hellos, HELLO_SEED, SCHEMA_SEED), (others, SCHEMA_SEED, HELLO_SEED)):
        for body in bodies:
            assert body_of_payload(payload_of(body, right)) == body
            with pytest.raises(FrameError, match=r"^crc: damaged on the way, or from a peer with another schema$"):
                body_of_payload(payload_of(body, wrong))
            assert frame_of_body(body) == encode_frame(body, right)


def test_every_bit_of_a_frame_counts() -> None:
    payload = payload_of(encode(CMD), SCHEMA_SEED)
    assert decode_payload(payload) == CMD
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        assert reason_of(decode_payload, bytes(damaged)) in ("crc", "magic")
    assert reason_of(decode_payload, b"\xb0" + payload[1:]) == "magic"
    assert reason_of(decode_payload, payload[:5]) == "length"
