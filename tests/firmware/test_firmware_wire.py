"""The firmware's frames and CBOR against cbor2 and zlib, and against the wire's vectors."""

import json
import random
import zlib

import cbor2
import pytest
from running_firmware import (
    ACK,
    ARM,
    CLEAR,
    CMD,
    HELLO,
    OPEN,
    POSE,
    REBOOT,
    ROOT,
    SEED,
    SENSOR,
    STATUS,
    STOP,
    TIME_SYNC,
    cobs,
    device_frame,
    frame,
    host_frame,
    uncobs,
)

BIG = (1 << 30) - 1
EDGES = [0, 1, 23, 24, 255, 256, 65535, 65536, BIG]
LIMITS = {
    OPEN: [(1, 255)],
    TIME_SYNC: [],
    ARM: [],
    CMD: [(-80, 80), (-80, 80), (0, BIG)],
    STOP: [(0, 4)],
    CLEAR: [],
    REBOOT: [],
    POSE: [(-BIG, BIG), (-BIG, BIG), (-3142, 3142)],
}
HEADER = [(0, 65535), (0, BIG), (0, BIG)]


def an_integer(draw, signed=True):
    value = draw.choice([draw.choice(EDGES), draw.getrandbits(30), draw.getrandbits(8)])
    return -value if signed and draw.random() < 0.5 else value


def device_messages(draw, count):
    for _ in range(count):
        header = [an_integer(draw, signed=False) for _ in range(3)]
        type_, rest = draw.choice([(SENSOR, 25), (STATUS, 12), (ACK, 4)])
        # ranges, ages and speeds are short; only as long as a frame may be
        yield [
            type_,
            *header,
            *(
                None if draw.random() < 0.2 else draw.randrange(-30000, 30000) if i < 16 else an_integer(draw)
                for i in range(rest)
            ),
        ]


def test_encoded_messages_equal_cbor2_byte_for_byte(run_inside):
    draw = random.Random(1)
    messages = [m for m in device_messages(draw, 400) if len(cbor2.dumps(m)) <= 123]
    assert len(messages) > 300
    frames = run_inside("wire.py", [["encode", m] for m in messages])
    for message, encoded in zip(messages, frames, strict=True):
        assert encoded == device_frame(cbor2.dumps(message)).hex(), message


def well_formed_host_message(draw):
    type_ = draw.choice(list(LIMITS))
    return [type_, *(draw.choice([low, high, draw.randint(low, high)]) for low, high in HEADER + LIMITS[type_])]


def reference_accepts(data):
    """What a receiver that knows PROTOCOL.md and nothing else makes of one run between two zeros."""
    try:
        body = uncobs(data)
        cbor, crc = body[1:-4], body[-4:]
        if len(body) > 128 or body[0] != 0xB1 or zlib.crc32(body[:-4], SEED).to_bytes(4, "little") != crc:
            return None
        items = cbor2.loads(cbor)
        if not isinstance(items, list) or any(type(item) is not int for item in items):
            return None
        if cbor2.dumps(items) != cbor:
            return None
        limits = HEADER + LIMITS[items[0]]
    except Exception:
        return None
    if len(items) != 1 + len(limits):
        return None
    return items if all(low <= i <= high for i, (low, high) in zip(items[1:], limits, strict=True)) else None


def mutate(draw, message):
    """A host frame with something wrong, or not quite: at the level of items, CBOR, body or line."""
    kind = draw.randrange(6)
    if kind == 0:
        message = list(message)
        message[draw.randrange(len(message))] = draw.choice(
            [
                None,
                -1,
                -80,
                -81,
                80,
                81,
                3142,
                3143,
                BIG,
                BIG + 1,
                -BIG,
                -BIG - 1,
                1 << 31,
                -(1 << 31) - 1,
                1 << 32,
                1 << 40,
                -(1 << 63),
                (1 << 64) - 1,
                "a",
                b"b",
                1.5,
                [],
                True,
                0,
                5,
            ]
        )
        return host_frame(*message)
    if kind == 1:
        message = message[: draw.randrange(len(message))] if draw.random() < 0.5 else [*message, 0]
        return host_frame(*message)
    cbor = bytearray(cbor2.dumps(message))
    if kind == 2:  # damage under a right CRC
        for _ in range(draw.randint(1, 3)):
            cbor[draw.randrange(len(cbor))] = draw.getrandbits(8)
        return frame(bytes(cbor))
    if kind == 3:  # trailing bytes, cut ends
        return frame(bytes(cbor) + bytes(draw.randint(1, 120))) if draw.random() < 0.5 else frame(bytes(cbor[:-1]))
    if kind == 4:
        return frame(bytes(cbor), draw.choice([0, SEED ^ 1]), draw.choice([0xB1, 0xB0]))
    data = bytearray(host_frame(*message))
    data[draw.randrange(1, len(data) - 1)] = draw.randint(1, 255)
    return bytes(data)


def test_mutated_host_frames_are_accepted_exactly_when_the_reference_accepts_them(run_inside):
    draw = random.Random(2)
    frames = []
    for _ in range(1500):
        message = well_formed_host_message(draw)
        frames.append(host_frame(*message) if draw.random() < 0.2 else mutate(draw, message))
    for data, (accepted, bad, refused) in zip(
        frames, run_inside("wire.py", [["feed", data.hex()] for data in frames]), strict=True
    ):
        runs = [run for run in data.split(b"\0") if run]
        expected = [items for items in map(reference_accepts, runs) if items]
        assert accepted == expected, data.hex()
        assert bad + refused == len(runs) - len(expected), data.hex()


def test_the_receiver_finds_its_place_again(run_inside):
    good = host_frame(CMD, 3, 77, 5, -80, 80, BIG)
    items = [CMD, 3, 77, 5, -80, 80, BIG]
    text = b"rst:0x1 (POWERON_RESET),boot:0x13\r\n"
    cases = [
        text + good,
        b"\xff" * 1000 + good,
        good[:9] + good,
        good[:-1] + good,
        good[1:],
        b"\0\0\0" + good + b"\0\0" + good,
    ]
    results = run_inside("wire.py", [["feed", data.hex()] for data in cases])
    assert results[0] == [[items], 1, 0]
    assert results[1] == [[items], 1, 0]
    assert results[2] == [[items], 1, 0]
    assert results[3] == [[items, items], 0, 0], "one zero between two frames is enough"
    assert results[4] == [[items], 0, 0]
    assert results[5] == [[items, items], 0, 0], "empty frames are no errors"


@pytest.fixture
def vectors():
    folder = ROOT / "protocol" / "vectors"
    return {name: json.loads((folder / f"{name}.json").read_text())["frames"] for name in ("valid", "invalid")}


def test_valid_vectors_from_hosts_are_accepted_with_their_values(run_inside, vectors):
    frames = [v for v in vectors["valid"] if v["from"] == "host"]
    assert len(frames) >= 8
    for vector, (accepted, bad, refused) in zip(
        frames, run_inside("wire.py", [["feed", v["frame"]] for v in frames]), strict=True
    ):
        assert (bad, refused) == (0, 0), vector["name"]
        assert accepted == [cbor2.loads(bytes.fromhex(vector["body"]))], vector["name"]


def test_valid_vectors_of_integers_are_encoded_alike(run_inside, vectors):
    frames = [v for v in vectors["valid"] if v["message"] in {"sensor", "status", "ack"}]
    messages = [cbor2.loads(bytes.fromhex(v["body"])) for v in frames]
    assert run_inside("wire.py", [["encode", m] for m in messages]) == [v["frame"] for v in frames]


def test_valid_vectors_from_devices_are_refused(run_inside, vectors):
    frames = [v for v in vectors["valid"] if v["from"] == "device"]
    for vector, result in zip(frames, run_inside("wire.py", [["feed", v["frame"]] for v in frames]), strict=True):
        assert result == [[], 0, 1], vector["name"]


def test_invalid_vectors_are_refused_and_counted(run_inside, vectors):
    frames = vectors["invalid"]
    counted_bad = {"crc", "magic", "cobs", "length"}
    counted_refused = {"type", "field", "items"}
    for vector, (accepted, bad, refused) in zip(
        frames, run_inside("wire.py", [["feed", v["frame"]] for v in frames]), strict=True
    ):
        assert accepted == [], vector["name"]
        assert bad + refused >= 1, vector["name"]
        if vector["reason"] in counted_bad:
            assert refused == 0, vector["name"]
        if vector["reason"] in counted_refused:
            assert bad == 0, vector["name"]


def test_only_hello_is_unseeded():
    cbor = cbor2.dumps([HELLO, 1, 2])
    assert device_frame(cbor)[1:-1] == cobs(b"\xb1" + cbor + zlib.crc32(b"\xb1" + cbor).to_bytes(4, "little"))
