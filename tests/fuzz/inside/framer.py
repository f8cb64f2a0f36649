"""Runs inside MicroPython (and CPython): the firmware's Receiver and codec over a file of bytes.

    framer.py FIRMWARE_FOLDER POOL STREAM

POOL holds the bodies that were really sent, each behind a byte with its length. Prints JSON: how many frames got past
COBS and length, past the CRC, past the schema, and those of the last that nobody sent.
"""

# ruff: noqa: E402, PTH123 - MicroPython has no pathlib, and is told its path first

import gc
import json
import sys

FIRMWARE = sys.argv[1]
sys.path.insert(0, FIRMWARE)
if sys.implementation.name != "micropython":
    sys.path.insert(0, FIRMWARE + "/cpython")

from array import array
from binascii import hexlify

import cobs
import codec
import frame

uncounted = cobs.decode_in_place
past_cobs = 0


def counted(buffer, length):
    global past_cobs  # noqa: PLW0603
    length = uncounted(buffer, length)
    if length:
        past_cobs += 1
    return length


cobs.decode_in_place = counted


def heap():
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


def main():
    known = set()
    with open(sys.argv[2], "rb") as file:
        while head := file.read(1):
            known.add(file.read(head[0]))
    receiver = frame.Receiver()
    items = array("i", [0] * codec.ITEMS_MAX)
    chunk = receiver.chunk
    size = past_crc = past_schema = 0
    false = []
    before = heap()
    with open(sys.argv[3], "rb") as file:
        while n := file.readinto(chunk):
            size += n
            receiver.load(n)
            while end := receiver.next():
                past_crc += 1
                if codec.decode(receiver.body, end, items) > 0:
                    past_schema += 1
                    body = bytes(receiver.body[1:end])
                    if body not in known:
                        false.append(hexlify(body).decode())
    print(
        json.dumps(
            {
                "bytes": size,
                "past_cobs": past_cobs,
                "past_crc": past_crc,
                "past_schema": past_schema,
                "false_accepts": false,
                "grown_bytes": heap() - before,
            }
        )
    )


main()
