"""Runs inside MicroPython (and CPython): the firmware's codec against messages and the frames the host made of them.

    agree.py FIRMWARE_FOLDER MESSAGES

MESSAGES is a row of records, numbers little-endian: length of the frame (1 byte), the frame, number of items (1 byte),
and each item as a kind and a value: i and 4 bytes; n; b or t, a length (1 byte) and so many bytes. The firmware must
write the same frame, and take those of hosts apart into the same items. Prints how many agreed, and what did not.
"""

# ruff: noqa: E402, PTH123 - MicroPython has no pathlib, and is told its path first

import sys

FIRMWARE = sys.argv[1]
sys.path.insert(0, FIRMWARE)
if sys.implementation.name != "micropython":
    sys.path.insert(0, FIRMWARE + "/cpython")

from array import array
from binascii import hexlify

import codec
from frame import Receiver, Sender

INT, NULL, BYTES, TEXT = b"inbt"


class Line:
    """A board whose line takes everything; one frame at a time."""

    def __init__(self):
        self.written = bytearray(140)
        self.length = 0

    def write(self, buffer, n):
        self.written[:n] = buffer[:n]
        self.length = n
        return n


def written(sender, line, items, number, strings):
    """The firmware's frame of the message: integers at once as SENSOR's, others one after the other as HELLO's."""
    body = sender.body
    if strings:
        at = codec.put_array_head(body, 1, number)
        one = array("i", [0])
        for i in range(number):
            if i in strings:
                kind, data = strings[i]
                at = codec.put_bytes(body, at, data) if kind == BYTES else codec.put_text(body, at, data, len(data))
            else:
                one[0] = items[i]
                at = codec.put_items(body, at, one, 1)
    else:
        at = codec.encode(items, number, body)
    if not sender.ready():
        return None
    sender.send(at)
    return line.written[: line.length]


def main():
    with open(sys.argv[2], "rb") as file:
        data = file.read()
    line, receiver = Line(), Receiver()
    sender = Sender(line)
    items, taken = array("i", [0] * codec.ITEMS_MAX), array("i", [0] * codec.ITEMS_MAX)
    at = agreed = read = 0
    while at < len(data):
        frame = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        number = data[at]
        at += 1
        strings = {}
        for i in range(number):
            kind = data[at]
            at += 1
            if kind == INT:
                value = data[at] | data[at + 1] << 8 | data[at + 2] << 16 | data[at + 3] << 24
                items[i] = value - (1 << 32) if value >> 31 else value
                at += 4
            elif kind == NULL:
                items[i] = codec.NULL
            else:
                strings[i] = (kind, data[at + 1 : at + 1 + data[at]])
                at += 1 + data[at]
        read += 1
        mine = written(sender, line, items, number, strings)
        receiver.chunk[: len(frame)] = frame
        receiver.load(len(frame))
        end = receiver.next()
        type_ = codec.decode(receiver.body, end, taken) if end else codec.BAD_FORM
        right = items[0] if items[0] >= 16 else codec.REFUSED
        if mine != frame or type_ != right:
            print("differs:", hexlify(frame).decode(), hexlify(mine or b"").decode(), type_)
        elif type_ > 0 and any(taken[i] != items[i] for i in range(number)):
            print("reads other items:", hexlify(frame).decode())
        else:
            agreed += 1
    print(read, "messages,", agreed, "agree")


main()
