"""Frame, COBS, CRC and CBOR of the firmware bound by bound, in this process, against cbor2 and zlib.

test_firmware_wire.py runs the same files in real MicroPython; here coverage and mutants can be seen.
"""

import json
import random
import zlib
from array import array

import cbor2
import pytest
from running_firmware import ACK, ARM, CMD, HELLO, OPEN, POSE, ROOT, SEED, SENSOR, STOP, cobs, frame, host_frame

BIG = (1 << 30) - 1
VECTORS = {
    name: json.loads((ROOT / f"protocol/vectors/{name}.json").read_text())["frames"] for name in ("valid", "invalid")
}
GOOD = [CMD, 3, 77, 5, -80, 80, BIG]


class Line:
    """A board whose line takes so many bytes a call."""

    def __init__(self, takes=1 << 20):
        self.takes = takes
        self.written = b""

    def write(self, buffer, n):
        taken = min(n, self.takes)
        self.written += bytes(buffer[:taken])
        return taken


def load(receiver, data):
    receiver.chunk[: len(data)] = data
    receiver.load(len(data))


def bodies(receiver, data, step=256):
    """The CBOR of every frame in the data, fed in portions."""
    found = []
    for start in range(0, len(data), step):
        load(receiver, data[start : start + step])
        while end := receiver.next():
            found.append(bytes(receiver.body[1:end]))
    return found


def decoded(cbor):
    """What the firmware makes of a body: its items, or BAD_FORM or REFUSED."""
    import codec

    results = []
    for leftover in (b"\x05", b"\xf6"):  # what a longer frame left behind this one must not matter
        items = array("i", [99] * codec.ITEMS_MAX)
        buffer = bytearray(b"\xb1" + cbor + leftover * (128 - len(cbor)))
        type_ = codec.decode(buffer, 1 + len(cbor), items)
        results.append(type_ if type_ <= 0 else list(items[: len(codec.schema.HOST_LIMITS[type_]) + 1]))
    assert results[0] == results[1], cbor.hex()
    return results[0]


BAD_FORM, REFUSED = 0, -1


# ---- encoding -------------------------------------------------------------------------------------------

EDGES = [0, 1, 22, 23, 24, 25, 127, 128, 254, 255, 256, 257, 65534, 65535, 65536, 65537, 1 << 24, BIG - 1, BIG]


@pytest.mark.parametrize("value", sorted({*EDGES, *(-edge for edge in EDGES), *(-1 - edge for edge in EDGES[:-1])}))
def test_every_integer_is_encoded_as_cbor2_does(value):
    import codec

    out = bytearray(b"\xaa" * 20)
    end = codec.put_items(out, 3, array("i", [value, 5]), 2)
    expected = cbor2.dumps(value) + b"\x05"
    assert bytes(out) == b"\xaa" * 3 + expected + b"\xaa" * (17 - len(expected))
    assert end == 3 + len(expected)


def test_null_is_the_one_number_below_the_wires_lowest():
    import codec

    out = bytearray(4)
    assert codec.NULL == -(1 << 30)
    assert codec.put_items(out, 0, array("i", [codec.NULL, 0, codec.NULL]), 3) == 3
    assert out == b"\xf6\x00\xf6\x00"


@pytest.mark.parametrize("count", [0, 1, 8, 16, 22, 23, 24, 25, 32])
def test_an_array_head_is_as_short_as_can_be(count):
    import codec

    out = bytearray(b"\xaa" * 40)
    at = codec.put_array_head(out, 2, count)
    assert out[2:at] == cbor2.dumps([0] * count)[: -count or None]
    assert bytes(out[:2]) == b"\xaa\xaa"
    assert set(out[at:]) == {0xAA}


@pytest.mark.parametrize("length", [0, 1, 16, 23, 24, 25, 64])
def test_strings_are_encoded_as_cbor2_does(length):
    import codec

    data = bytes(65 + i % 26 for i in range(length))
    for put, value in ((codec.put_bytes, data), (lambda *a: codec.put_text(*a, length), data.decode())):
        out = bytearray(b"\xaa" * 80)
        end = put(out, 2, data)
        assert out[2:end] == cbor2.dumps(value)
        assert bytes(out[:2]) == b"\xaa\xaa"
        assert set(out[end:]) == {0xAA}


def test_a_text_is_cut_where_its_length_says():
    import codec

    out = bytearray(8)
    assert codec.put_text(out, 0, b"stopped", 4) == 5
    assert out == b"\x64stop\0\0\0"


def sent(items, takes=1 << 20):
    import codec
    from frame import Sender

    line = Line(takes)
    sender = Sender(line)
    assert sender.ready()
    sender.send(codec.encode(array("i", [codec.NULL if i is None else i for i in items]), len(items), sender.body))
    while not sender.flush():
        pass
    return line.written


@pytest.mark.parametrize("takes", [1, 7, 1 << 20])
def test_device_messages_equal_their_vectors(takes):
    seen = 0
    for vector in VECTORS["valid"]:
        items = cbor2.loads(bytes.fromhex(vector["body"]))
        if all(item is None or type(item) is int for item in items):
            assert sent(items, takes).hex() == vector["frame"], vector["name"]
            seen += 1
    assert seen > 50


def test_hello_alone_is_sent_unseeded():
    assert sent([HELLO, 1, 2]) == frame(cbor2.dumps([HELLO, 1, 2]), 0)
    assert sent([ACK, 1, 2]) == frame(cbor2.dumps([ACK, 1, 2]), SEED)
    # behind a head of two bytes the type stands one further
    assert sent([HELLO, *range(25)]) == frame(cbor2.dumps([HELLO, *range(25)]), 0)
    assert sent([SENSOR, HELLO, *range(25)]) == frame(cbor2.dumps([SENSOR, HELLO, *range(25)]), SEED)
    assert sent([ACK, HELLO]) == frame(cbor2.dumps([ACK, HELLO]), SEED)


# ---- decoding -------------------------------------------------------------------------------------------


def test_vectors_from_hosts_are_taken_with_their_values():
    for vector in VECTORS["valid"]:
        body = bytes.fromhex(vector["body"])
        assert decoded(body) == (cbor2.loads(body) if vector["from"] == "host" else REFUSED), vector["name"]


@pytest.mark.parametrize("reason", ["cbor-form", "trailing", "type", "items", "field"])
def test_vectors_of_bad_bodies_are_refused(reason):
    from frame import Receiver

    receiver = Receiver()
    seen = 0
    for vector in VECTORS["invalid"]:
        if vector["reason"] == reason:
            (body,) = bodies(receiver, bytes.fromhex(vector["frame"]))
            if reason in ("type", "items", "field"):
                assert decoded(body) == REFUSED, vector["name"]
            else:  # behind what no host sends, the firmware does not look whether the form is bad as well
                assert decoded(body) in (BAD_FORM, REFUSED), vector["name"]
            seen += 1
    assert seen > 5
    assert receiver.frames_bad == 0


@pytest.mark.parametrize("reason", ["cobs", "length", "magic", "crc"])
def test_vectors_of_bad_frames_are_counted_and_never_handed_out(reason):
    from frame import Receiver

    for vector in VECTORS["invalid"]:
        if vector["reason"] == reason:
            receiver = Receiver()
            assert bodies(receiver, bytes.fromhex(vector["frame"])) == [], vector["name"]
            assert receiver.frames_bad == 1, vector["name"]


def wide(value, width):
    """An integer's CBOR in so many bytes behind its head."""
    major, rest = (0x20, -1 - value) if value < 0 else (0, value)
    return bytes([major | {1: 24, 2: 25, 4: 26, 8: 27}[width]]) + rest.to_bytes(width, "big")


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("at", range(7))
def test_each_integer_is_taken_in_its_shortest_form_alone(width, at):
    for value in (GOOD[at], 0, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, -1, -24, -25, -256, -257):
        if (-1 - value if value < 0 else value) >= 1 << 8 * width:
            continue
        items = [*GOOD[:at], value, *GOOD[at + 1 :]]
        body = b"\x87" + b"".join(wide(v, width) if i == at else cbor2.dumps(v) for i, v in enumerate(items))
        if cbor2.dumps(items) != body:
            assert decoded(body) == BAD_FORM, (value, width)
        else:
            assert decoded(body) in (items, REFUSED), (value, width)


def limits():
    import schema

    return [(type_, at, low, high) for type_, rows in schema.HOST_LIMITS.items() for at, (low, high) in enumerate(rows)]


def test_every_field_is_bounded_on_both_sides():
    import schema

    for type_, at, low, high in limits():
        items = [type_, *(row[0] for row in schema.HOST_LIMITS[type_])]
        for value in {low, low + 1, high - 1, high, 0 if low <= 0 else low}:
            items[1 + at] = value
            assert decoded(cbor2.dumps(items)) == items, (type_, at, value)
        for value in (
            low - 1,
            high + 1,
            low - 1000,
            high + 1000,
            *(s * (1 << n) for s in (1, -1) for n in range(30, 64)),
        ):
            items[1 + at] = value
            assert decoded(cbor2.dumps(items)) == REFUSED, (type_, at, value)


def test_only_a_hosts_types_are_taken():
    import schema

    for type_ in [*range(-40, 70), 255, 256, 65535 + 19, (1 << 32) + CMD, (1 << 33) + CMD]:
        for rest in (GOOD[1:4], GOOD[1:], [0] * 4, [0] * 7):
            result = decoded(cbor2.dumps([type_, *rest]))
            rows = schema.HOST_LIMITS.get(type_, ())
            taken = len(rows) == len(rest) and all(lo <= v <= hi for (lo, hi), v in zip(rows, rest, strict=True))
            assert result == ([type_, *rest] if taken else REFUSED), (type_, rest)


@pytest.mark.parametrize("count", range(34))
def test_other_numbers_of_items_are_refused(count):
    for type_ in (ARM, CMD, 0, 31):
        body = cbor2.dumps([type_, *([1] * (count - 1))] if count else [])
        right = (type_, count) in ((ARM, 4), (CMD, 7))
        assert decoded(body) == ([type_] + [1] * (count - 1) if right else REFUSED)


def test_heads_that_are_no_short_array_are_refused():
    rest = b"".join(map(cbor2.dumps, GOOD))
    for head in range(256):
        result = decoded(bytes([head]) + rest)
        if head == 0x87:
            assert result == GOOD
        elif head == 0x80 or 0x88 <= head <= 0x97:
            assert result in (BAD_FORM, REFUSED)  # another number of items than follow
        elif head == 0x98:
            assert result == BAD_FORM, "19 items in a long head"
        else:
            assert result == BAD_FORM, head
        if not 0x80 <= head <= 0x97:
            items = head & 0x1F  # as many as a short head with these low bits would count
            assert decoded(bytes([head]) + b"\x13" + b"\x05" * (items - 1)) in (BAD_FORM, REFUSED)[: 1 + (head == 0x98)]
            assert decoded(bytes([head]) + b"\x18\x20") == (REFUSED if head == 0x98 else BAD_FORM)
    for count, expected in ((7, BAD_FORM), (23, BAD_FORM), (24, REFUSED), (25, REFUSED), (255, REFUSED)):
        assert decoded(b"\x98" + bytes([count]) + rest) == expected, count


@pytest.mark.parametrize("at", range(7))
def test_heads_that_are_no_integer_are_refused(at):
    for head in range(256):
        body = bytearray(cbor2.dumps(GOOD))
        parts = [cbor2.dumps(v) for v in GOOD]
        parts[at] = bytes([head]) + bytes(8)
        body = b"\x87" + b"".join(parts)
        result = decoded(body)
        if head < 24 or 0x20 <= head < 0x38:
            assert result == BAD_FORM, "eight zeros too many"
        elif head & 0xE0 <= 0x20:
            assert result == BAD_FORM, "not minimal, or reserved"
        else:
            assert result == REFUSED, head


def test_cut_and_trailing_bodies_are_refused():
    for items in (GOOD, [OPEN, 65535, BIG, BIG, 255], [POSE, 65535, BIG, BIG, -BIG, BIG, -3142], [STOP, 1, 1, 1, 4]):
        body = cbor2.dumps(items)
        assert decoded(body) == items
        for cut in range(1, len(body)):
            assert decoded(body[:cut]) == BAD_FORM, cut
        for tail in (b"\0", b"\x05", b"\xf6", b"\xff", body):
            assert decoded(body + tail) == BAD_FORM


def test_reserved_integer_heads_at_the_very_end_are_refused():
    """28 to 31 have no width: read as one, they would run past the body."""
    for head in (*range(0x1C, 0x20), *range(0x3C, 0x40)):
        for length in (0, 1, 8, 16, 32, 64):
            assert decoded(b"\x84\x12\x01\x01" + bytes([head]) + b"\x05" * length) == BAD_FORM


def test_an_integer_that_is_cut_at_the_end_of_the_longest_body_is_not_read():
    """Nothing may be read behind the buffer of 129 bytes: here the longest integer would end at 132."""
    long_ones = b"\x1b" + b"\xff" * 8
    body = b"\x97" + long_ones * 13 + b"\x05\x05\x05\x05\x1b"
    assert len(body) == 123
    assert decoded(body) == BAD_FORM


def test_the_limits_of_the_longest_message_fit_their_row():
    import codec
    import schema

    assert 1 + 2 * max(map(len, schema.HOST_LIMITS.values())) == codec._ROW
    assert codec.ITEMS_MAX > 29
    assert (codec.BAD_FORM, codec.REFUSED) == (BAD_FORM, REFUSED)


# ---- COBS, CRC, Receiver, Sender ------------------------------------------------------------------------


def test_cobs_is_undone_for_every_length_and_place_of_zeros():
    import cobs as firmware_cobs

    draw = random.Random(4)
    for length in range(1, 129):
        for density in (0, 0.1, 0.9, 1):
            body = bytes(0 if draw.random() < density else draw.randint(1, 255) for _ in range(length))
            line = bytearray(b"\xaa" * 140)
            end = firmware_cobs.encode(body, length, line, 3)
            assert bytes(line) == b"\xaa" * 3 + b"\0" + cobs(body) + b"\0" + b"\xaa" * (137 - length - 3)
            assert end == length + 6
            inside = bytearray(line[4 : end - 1])
            assert firmware_cobs.decode_in_place(inside, len(inside)) == length
            assert inside[:length] == body


def test_cobs_that_runs_past_its_end_is_malformed():
    import cobs as firmware_cobs

    for data in (b"\x02", b"\x03\x01", b"\x02\x05\x02", b"\x01\x01\x03\x07", b"\xff" * 129):
        assert firmware_cobs.decode_in_place(bytearray(data + b"\x09" * 200), len(data)) == 0
    buffer = bytearray(b"\x03\x07\x08")
    assert firmware_cobs.decode_in_place(buffer, 3) == 2
    assert buffer[:2] == b"\x07\x08"


def test_crc32_is_zlibs_for_every_seed():
    import crc32

    draw = random.Random(5)
    for length in range(1, 125):
        seed = draw.choice([0, SEED, draw.getrandbits(32), 0xFFFFFFFF])
        data = draw.randbytes(length)
        buffer = bytearray(data + b"\xaa" * 6)
        crc32.append(buffer, length, seed >> 16, seed & 0xFFFF)
        assert bytes(buffer) == data + zlib.crc32(data, seed).to_bytes(4, "little") + b"\xaa\xaa"
        assert crc32.matches(buffer, length, seed >> 16, seed & 0xFFFF) == 1
        for bit in range(32):
            buffer[length + bit // 8] ^= 1 << bit % 8
            assert crc32.matches(buffer, length, seed >> 16, seed & 0xFFFF) == 0
            buffer[length + bit // 8] ^= 1 << bit % 8
        # two wrong bytes that would cancel out in a sum
        buffer[length] ^= 0x55
        buffer[length + 1 + draw.randrange(3)] ^= 0x55
        assert crc32.matches(buffer, length, seed >> 16, seed & 0xFFFF) == 0


def framed(body):
    """A body with magic and a right CRC, whatever its length."""
    data = b"\xb1" + body
    return b"\0" + cobs(data + zlib.crc32(data, SEED).to_bytes(4, "little")) + b"\0"


@pytest.mark.parametrize("length", [1, 2, 3, 121, 122, 123, 124, 125])
def test_a_frame_has_6_to_128_bytes(length):
    from frame import Receiver

    receiver = Receiver()
    body = bytes([0x81, 5, *range(7, 7 + 121), *range(5)])[:length]
    expected = [body] if length <= 123 else []
    assert bodies(receiver, framed(body), step=64) == expected
    assert receiver.frames_bad == (length > 123)
    good = host_frame(*GOOD)
    assert bodies(receiver, good) == [cbor2.dumps(GOOD)], "and the next one is taken"


def test_a_frame_of_magic_and_crc_alone_is_too_short():
    from frame import Receiver

    for data in (b"\xb1", b"\xb1\x80"):
        for seed in (0, SEED):
            receiver = Receiver()
            line = b"\0" + cobs(data + zlib.crc32(data, seed).to_bytes(4, "little")) + b"\0"
            # an empty array has no type; the leftovers of the last frame must not lend it one
            assert bodies(receiver, line) in ([], [b"\x80"])
            if data == b"\xb1":
                assert receiver.frames_bad == 1


def test_the_receiver_drops_an_overlong_run_in_any_portions():
    from frame import Receiver

    good = host_frame(*GOOD)
    for length in (128, 129, 130, 131, 255, 256, 257, 1000):
        for step in (1, 100, 256):
            receiver = Receiver()
            stream = b"\xff" * length + good + good
            assert bodies(receiver, stream, step) == [cbor2.dumps(GOOD)] * 2
            assert receiver.frames_bad == 1
    receiver = Receiver()
    # what does not fit must not be lost silently: the first 129 bytes alone would be a frame
    longest = framed(bytes([0x81, 5, *range(7, 7 + 121)]))
    assert len(longest) == 131
    assert bodies(receiver, longest[:-1] + b"\x07\0" + good) == [cbor2.dumps(GOOD)]
    assert receiver.frames_bad == 1


def test_one_byte_too_many_is_noticed_wherever_the_portions_end():
    from frame import Receiver

    longest = framed(bytes([0x81, 5, *range(7, 7 + 121)]))
    for step in range(100, 140):
        receiver = Receiver()
        assert bodies(receiver, longest[1:-1] + b"\x07\0", step) == []
        assert receiver.frames_bad == 1


def test_a_chunk_is_gathered_once_however_often_it_is_asked_for():
    from frame import Receiver

    receiver = Receiver()
    line = host_frame(*GOOD)
    load(receiver, line[:9])
    assert [receiver.next() for _ in range(3)] == [0, 0, 0]
    assert bodies(receiver, line[9:]) == [cbor2.dumps(GOOD)]


def test_frames_are_taken_in_any_portions():
    from frame import Receiver

    stream = b"".join(host_frame(STOP, i, 7, 9, i % 5) for i in range(40))
    expected = [cbor2.dumps([STOP, i, 7, 9, i % 5]) for i in range(40)]
    for step in (1, 2, 3, 7, 20, 21, 22, 255, 256):
        receiver = Receiver()
        assert bodies(receiver, stream, step) == expected
        assert receiver.frames_bad == 0


def test_a_receiver_with_nothing_new_has_nothing():
    from frame import Receiver

    receiver = Receiver()
    assert receiver.next() == 0
    load(receiver, host_frame(*GOOD))
    assert receiver.next()
    assert receiver.next() == 0
    assert receiver.next() == 0


def test_a_receiver_starts_clean():
    from frame import Receiver

    receiver = Receiver()
    assert (len(receiver.chunk), len(receiver.body), receiver.frames_bad) == (256, 129, 0)
    assert bodies(receiver, host_frame(*GOOD)[1:]) == [cbor2.dumps(GOOD)]


@pytest.mark.parametrize("magic", [0xB0, 0xB2, 0x31, 1])
def test_another_magic_is_no_frame(magic):
    from frame import Receiver

    receiver = Receiver()
    assert bodies(receiver, frame(cbor2.dumps(GOOD), SEED, magic)) == []
    assert receiver.frames_bad == 1


def test_the_seed_is_picked_by_the_type():
    from frame import Receiver

    hello, long_hello = cbor2.dumps([HELLO, 5, 5]), cbor2.dumps([HELLO, *range(30)])
    other, long_other = cbor2.dumps([ACK, HELLO, 5]), cbor2.dumps([ACK, HELLO, *range(30)])
    for body, right, wrong in ((hello, 0, SEED), (long_hello, 0, SEED), (other, SEED, 0), (long_other, SEED, 0)):
        receiver = Receiver()
        assert bodies(receiver, frame(body, wrong)) == []
        assert bodies(receiver, frame(body, right)) == [body]
        assert receiver.frames_bad == 1
    for half in (0xFFFF, 0xFFFF << 16):  # both halves of the schema hash count
        assert bodies(Receiver(), frame(other, SEED & half)) == []


def test_the_receivers_counter_stays_at_its_maximum():
    from frame import Receiver

    receiver = Receiver()
    receiver.frames_bad = BIG - 1
    for _ in range(3):
        bodies(receiver, b"\0bad\0")
    assert receiver.frames_bad == BIG


def sender_behind(line):
    import codec
    from frame import Sender

    sender = Sender(line)

    def send(seq):
        if not sender.ready():
            return False
        sender.send(codec.encode(array("i", [ACK, seq, 0, 0]), 4, sender.body))
        return True

    return sender, send


def test_a_full_line_drops_whole_frames_and_keeps_its_place():
    line = Line(takes=0)
    sender, send = sender_behind(line)
    frames = [frame(cbor2.dumps([ACK, seq, 0, 0])) for seq in range(30)]
    taken = [seq for seq in range(30) if send(seq)]
    # as many as start within one longest frame
    assert taken == list(range(131 // len(frames[0]) + 1))
    assert sender.frames_dropped == 30 - len(taken)
    assert not sender.flush()
    line.takes = 3
    while not sender.flush():
        pass
    assert line.written == b"".join(frames[seq] for seq in taken)
    assert sender.flush()
    assert send(7)
    while not sender.flush():
        pass
    assert line.written == b"".join(frames[seq] for seq in [*taken, 7])


@pytest.mark.parametrize(("waiting", "ready"), [(0, True), (130, True), (131, True), (132, False), (262, False)])
def test_there_is_room_for_a_frame_while_no_more_than_one_waits(waiting, ready):
    sender, _ = sender_behind(Line(takes=0))
    sender._pending = waiting
    assert sender.ready() is ready
    assert sender.frames_dropped == (not ready)


def test_two_longest_frames_fit_the_senders_buffer():
    line = Line(takes=0)
    sender, _ = sender_behind(line)
    items = bytes([0x98, 119, SENSOR, *([5] * 121)])
    assert len(items) == 124
    for _ in range(2):
        assert sender.ready()
        sender.body[1:124] = items[:123]
        sender.send(124)
    assert not sender.ready()
    line.takes = 1000
    assert sender.ready()
    assert line.written == framed(items[:123]) * 2


def test_the_line_is_asked_only_while_something_waits():
    class Counting(Line):
        calls = 0

        def write(self, buffer, n):
            self.calls += 1
            return super().write(buffer, n)

    line = Counting()
    sender, send = sender_behind(line)
    assert sender.flush()
    assert line.calls == 0
    assert send(1)
    assert line.calls == 1
    assert sender.flush()
    assert line.calls == 1


def test_the_senders_counter_stays_at_its_maximum():
    sender, send = sender_behind(Line(takes=0))
    sender.frames_dropped = BIG - 1
    for seq in range(30):
        send(seq)
    assert sender.frames_dropped == BIG
