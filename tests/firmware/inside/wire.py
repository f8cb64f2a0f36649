"""Encode messages and take frames apart, for test_firmware_wire.py.

Given [["encode", [items with null]], ["feed", hex]...], print a list of hex frames and of
[accepted messages, frames_bad, refused].
"""

# ruff: noqa: PTH123 - MicroPython is told its path first, and has no pathlib

import json
import sys
from array import array
from binascii import hexlify, unhexlify

sys.path.insert(1, sys.argv[1])

import codec
import micropython  # noqa: F401  (installs the viper names under CPython)
from frame import Receiver, Sender

line = bytearray()


class Line:
    """Takes an odd number of bytes at a time, as a full port does."""

    def write(self, buffer, n):
        taken = min(n, 7)
        line.extend(bytes(buffer[:taken]))
        return taken


items = array("i", [0] * codec.ITEMS_MAX)


def encode(values):
    sender = Sender(Line())
    for i, value in enumerate(values):
        items[i] = codec.NULL if value is None else value
    sender.send(codec.encode(items, len(values), sender.body))
    while not sender.flush():
        pass
    encoded = hexlify(line).decode()
    line[:] = b""
    return encoded


def feed(data):
    receiver = Receiver()
    accepted = []
    refused = 0
    step = 1 + len(data) % 13
    for start in range(0, len(data), step):
        part = data[start : start + step]
        receiver.chunk[: len(part)] = part
        receiver.load(len(part))
        while True:
            end = receiver.next()
            if not end:
                break
            type_ = codec.decode(receiver.body, end, items)
            if type_ == codec.BAD_FORM:
                receiver.count_bad()
            elif type_ == codec.REFUSED:
                refused += 1
            else:
                count = len(codec.schema.HOST_LIMITS[type_]) + 1
                accepted.append([items[i] for i in range(count)])
    return [accepted, receiver.frames_bad, refused]


with open(sys.argv[2]) as given:
    work = json.load(given)
print(json.dumps([encode(value) if verb == "encode" else feed(unhexlify(value)) for verb, value in work]))
