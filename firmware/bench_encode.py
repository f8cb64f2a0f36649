"""Time and garbage of one SENSOR frame: this firmware's way, the same without viper, and a general CBOR encoder.

    micropython bench_encode.py [--json]        in this folder; or on the device: import bench_encode; bench_encode.main()

All three make the same bytes, which is checked. They are timed in turn within one run, so that a slow moment of the
machine hits all of them; the medians are printed.
"""

import gc
import json
import sys
import time
from array import array
from binascii import crc32 as binascii_crc32

import cobs
import codec
import crc32
from schema import CRC_SEED_HIGH, CRC_SEED_LOW, FRAME_MAGIC, FRAME_MAX_BYTES, SENSOR, SENSOR_ITEMS

ROUNDS = 31
_VALUES = (
    SENSOR, 41234, 987654321, 123456789, 1234, 345, None, 2000, 87, 1999, 650, 1021, 9, 12, 3, 8, 9, 11, 1000, 4,
    -12345, 6789, -1571, 34567, -35678, 321, -298, 7412, 8,
)


class Tables:
    """The firmware's functions on preallocated buffers; `modules` are cobs, codec and crc32 or stand-ins for them."""

    def __init__(self, modules):
        self._cobs, self._codec, self._crc32 = modules
        self._items = array("i", [codec.NULL if value is None else value for value in _VALUES])
        self._body = bytearray(FRAME_MAX_BYTES)
        self._body[0] = FRAME_MAGIC
        self.line = bytearray(FRAME_MAX_BYTES + 3)

    def frame(self):
        """Make the frame in `line`; return its length."""
        body = self._body
        end = self._codec.encode(self._items, SENSOR_ITEMS, body)
        self._crc32.append(body, end, CRC_SEED_HIGH, CRC_SEED_LOW)
        return self._cobs.encode(body, end + 4, self.line, 0)


class Plain:
    """A module of this firmware run as plain bytecode: its source without the decorators."""

    def __init__(self, name, others):
        with open(name + ".py") as source:
            text = source.read()
        names = {"ptr8": lambda buffer: buffer, "ptr32": lambda buffer: buffer, "__name__": name}
        names.update(others)
        exec(text.replace("@micropython.viper\n", ""), names)
        self.encode = names.get("encode")
        self.append = names.get("append")


class General:
    """What one would write first: any object to bytes, recursively, then the frame around it."""

    def __init__(self):
        self._values = list(_VALUES)
        self._seed = CRC_SEED_HIGH << 16 | CRC_SEED_LOW

    def frame(self):
        body = bytes([FRAME_MAGIC]) + self._encode(self._values)
        body += binascii_crc32(body, self._seed).to_bytes(4, "little")
        self.line = b"\x00" + b"".join([bytes([len(run) + 1]) + run for run in body.split(b"\x00")]) + b"\x00"
        return len(self.line)

    def _encode(self, value):
        if value is None:
            return b"\xf6"
        if isinstance(value, int):
            return self._head(0x20, -1 - value) if value < 0 else self._head(0, value)
        if isinstance(value, bytes):
            return self._head(0x40, len(value)) + value
        if isinstance(value, str):
            return self._head(0x60, len(value)) + value.encode()
        return self._head(0x80, len(value)) + b"".join([self._encode(item) for item in value])

    def _head(self, major, argument):
        if argument < 24:
            return bytes([major | argument])
        if argument < 0x100:
            return bytes([major | 24, argument])
        if argument < 0x10000:
            return bytes([major | 25]) + argument.to_bytes(2, "big")
        return bytes([major | 26]) + argument.to_bytes(4, "big")


def garbage_bytes(way):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    way.frame()
    after = gc.mem_alloc()
    gc.enable()
    return after - before


def measure(ways, repeats):
    """Median microseconds of a frame for each way, the ways taking turns."""
    times = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, its_times in zip(ways, times):
            gc.collect()
            start_us = time.ticks_us()
            for _ in range(repeats):
                way.frame()
            its_times.append(time.ticks_diff(time.ticks_us(), start_us) / repeats)
    return [sorted(its_times)[ROUNDS // 2] for its_times in times]


def main(as_json=False):
    viper = Tables((cobs, codec, crc32))
    bytecode = Tables((Plain("cobs", {}), Plain("codec", {}), Plain("crc32", {})))
    general = General()
    ways = (("viper", viper), ("bytecode", bytecode), ("general", general))
    frames = [bytes(way.line[:n]) for way, n in [(way, way.frame()) for _, way in ways]]
    assert frames[0] == frames[1] == frames[2], "the ways differ"
    medians_us = measure([way for _, way in ways], 500)
    results = {
        name: {"median_us": median_us, "heap_bytes": garbage_bytes(way)}
        for (name, way), median_us in zip(ways, medians_us)
    }
    if as_json:
        print(json.dumps({"frame_bytes": len(frames[0]), "rounds": ROUNDS, "ways": results}))
        return
    print("SENSOR, {} bytes on the line, median of {} rounds".format(len(frames[0]), ROUNDS))
    print("{:10} {:>10} {:>12} {:>8}".format("way", "us/frame", "heap bytes", "times"))
    for name, result in results.items():
        times = result["median_us"] / results["viper"]["median_us"]
        print("{:10} {:10.1f} {:12d} {:8.1f}".format(name, result["median_us"], result["heap_bytes"], times))


if __name__ == "__main__":
    main("--json" in sys.argv)
