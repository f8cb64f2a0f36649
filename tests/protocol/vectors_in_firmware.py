"""Runs inside MicroPython (and CPython): the firmware's frame and codec against protocol/vectors/.

    micropython vectors_in_firmware.py FIRMWARE_FOLDER VECTORS_FOLDER

Prints what went wrong, a line each, and at the end how many frames were looked at.
"""

# ruff: noqa: E402, PERF401, PTH123 - MicroPython has no pathlib, and is told its path first

import json
import sys

FIRMWARE, VECTORS = sys.argv[1], sys.argv[2]
sys.path.insert(0, FIRMWARE)
if sys.implementation.name != "micropython":
    sys.path.insert(0, FIRMWARE + "/cpython")

from array import array

import codec
from frame import Receiver, Sender

BYTE_STRINGS = ("schema_hash", "uid")
TEXTS = ("firmware_version", "board", "text")


class Line:
    """A board whose line takes everything."""

    def __init__(self):
        self.written = b""

    def write(self, buffer, n):
        self.written += bytes(buffer[:n])
        return n


def unhex(text):
    return bytes(int(text[i : i + 2], 16) for i in range(0, len(text), 2))


def flat(vector):
    """(name, value) of every item on the wire."""
    pairs = [("type", vector["type"])]
    for name, value in vector["values"]:
        for one in value if isinstance(value, list) else [value]:
            pairs.append((name, one))
    return pairs


def received(receiver, frame, items):
    """What the firmware makes of a frame: the message's type, or 0 or less; `items` holds its values."""
    receiver.load(put(receiver.chunk, frame))
    end = receiver.next()
    decoded = codec.decode(receiver.body, end, items) if end else codec.BAD_FORM
    while receiver.next():
        decoded = -99  # a second frame came out of one
    return decoded


def put(chunk, data):
    chunk[: len(data)] = data
    return len(data)


def sent(vector):
    """The bytes that the firmware writes for a device's message."""
    line = Line()
    sender = Sender(line)
    body = sender.body
    pairs = flat(vector)
    if any(name in BYTE_STRINGS or name in TEXTS for name, _ in pairs):
        position = codec.put_array_head(body, 1, len(pairs))
        one = array("i", [0])
        for name, value in pairs:
            if name in BYTE_STRINGS:
                position = codec.put_bytes(body, position, unhex(value))
            elif name in TEXTS:
                position = codec.put_text(body, position, value.encode(), len(value))
            else:
                one[0] = value
                position = codec.put_items(body, position, one, 1)
    else:
        items = array("i", [codec.NULL if value is None else value for _, value in pairs])
        position = codec.encode(items, len(items), body)
    assert sender.ready()
    sender.send(position)
    return line.written


def main():
    problems = 0
    seen = 0
    receiver = Receiver()
    items = array("i", [0] * codec.ITEMS_MAX)
    with open(VECTORS + "/valid.json") as file:
        valid = json.load(file)
    with open(VECTORS + "/invalid.json") as file:
        invalid = json.load(file)
    for vector in valid["frames"]:
        seen += 1
        frame, body = unhex(vector["frame"]), unhex(vector["body"])
        # type numbers below 24 are one byte; an array of 24 items and more has a head of two
        vector["type"] = body[2 if body[0] == 0x98 else 1]
        if vector["from"] == "device":
            if sent(vector) != frame:
                print("writes other bytes:", vector["name"])
                problems += 1
            if received(receiver, frame, items) > 0:
                print("takes a device's message:", vector["name"])
                problems += 1
            continue
        decoded = received(receiver, frame, items)
        values = [value for _, value in flat(vector)]
        if decoded != vector["type"] or list(items[: len(values)]) != values:
            print("does not take:", vector["name"], decoded, list(items[: len(values)]))
            problems += 1
    for vector in invalid["frames"]:
        seen += 1
        decoded = received(receiver, unhex(vector["frame"]), items)
        if decoded > 0:
            print("takes:", vector["name"])
            problems += 1
        if vector["reason"] in ("cobs", "length", "magic", "crc") and decoded != codec.BAD_FORM:
            print("counts as a good frame:", vector["name"])
            problems += 1
    # nothing of the above may have put the receiver out of step
    last = [vector for vector in valid["frames"] if vector["from"] == "host"][-1]
    if received(receiver, unhex(last["frame"]), items) != last["type"]:
        print("is out of step at the end")
        problems += 1
    print(seen, "frames,", problems, "problems")


main()
