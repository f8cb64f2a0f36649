"""CBOR of the wire's messages: integers in an array('i') <-> bytes in a frame's body.

Encoding writes the shortest form, because the wire allows no other. Decoding knows what a host sends, which is
integers only, and refuses everything else; nothing is built on the heap on either way.
"""

import micropython
from array import array
from micropython import const

import schema

# An item that goes out as CBOR null. The lowest small int of a 32-bit port, one below the lowest integer of the wire.
NULL = const(-0x40000000)

ITEMS_MAX = const(32)  # of any message
BAD_FORM = const(0)
REFUSED = const(-1)

_HOST_FIRST = const(16)
_ROW = const(13)  # a row of _limits: item count, then lowest and highest of each of up to 6 items after the type


@micropython.viper
def put_array_head(out_buffer, position: int, count: int) -> int:
    out = ptr8(out_buffer)
    if count < 24:
        out[position] = 0x80 | count
        return position + 1
    out[position] = 0x98
    out[position + 1] = count
    return position + 2


@micropython.viper
def put_items(out_buffer, position: int, items_buffer, count: int) -> int:
    """Write the first `count` items behind out[:position]; return the new position."""
    out = ptr8(out_buffer)
    items = ptr32(items_buffer)
    i = 0
    while i < count:
        # ptr32 reads without sign on a 64-bit port and with it elsewhere: look at bit 31, use the low 30 bits
        value = int(items[i])
        major = 0
        if (value >> 31) & 1:
            major = 0x20
            value = -1 - value
        value = value & 0x3FFFFFFF
        i += 1
        if major and value == 0x3FFFFFFF:
            out[position] = 0xF6
            position += 1
        elif value < 24:
            out[position] = major | value
            position += 1
        elif value < 0x100:
            out[position] = major | 0x18
            out[position + 1] = value
            position += 2
        elif value < 0x10000:
            out[position] = major | 0x19
            out[position + 1] = value >> 8
            out[position + 2] = value & 0xFF
            position += 3
        else:
            out[position] = major | 0x1A
            out[position + 1] = value >> 24
            out[position + 2] = (value >> 16) & 0xFF
            out[position + 3] = (value >> 8) & 0xFF
            out[position + 4] = value & 0xFF
            position += 5
    return position


@micropython.viper
def _put_string(out_buffer, position: int, data_buffer, length_and_major: int) -> int:
    out = ptr8(out_buffer)
    data = ptr8(data_buffer)
    length = length_and_major & 0xFF
    major = length_and_major >> 8
    if length < 24:
        out[position] = major | length
        position += 1
    else:
        out[position] = major | 0x18
        out[position + 1] = length
        position += 2
    i = 0
    while i < length:
        out[position] = data[i]
        position += 1
        i += 1
    return position


def put_bytes(out, position, data):
    return _put_string(out, position, data, 0x4000 | len(data))


def put_text(out, position, ascii_bytes, length):
    """Text, given as ASCII bytes: making them from a str would allocate."""
    return _put_string(out, position, ascii_bytes, 0x6000 | length)


def encode(items, count, body):
    """A message of integers and nulls into body, behind the magic; return the end."""
    return put_items(body, put_array_head(body, 1, count), items, count)


def _limit_rows():
    rows = array("i", [0] * (_ROW * 8))
    for type_, limits in schema.HOST_LIMITS.items():
        row = (type_ - _HOST_FIRST) * _ROW
        rows[row] = 1 + len(limits)
        for i, (lowest, highest) in enumerate(limits):
            rows[row + 1 + 2 * i] = lowest
            rows[row + 2 + 2 * i] = highest
    return rows


_limits = _limit_rows()


@micropython.viper
def _get_items(body_buffer, end: int, items_buffer) -> int:
    """Read an array of at most 23 integers below 2^30: its item count, 0 for bad form, -1 for other items.

    A short head counts no more than 23, which is less than ITEMS_MAX: `items` holds them all.
    """
    body = ptr8(body_buffer)
    items = ptr32(items_buffer)
    head = int(body[1])
    if head < 0x80 or head > 0x97:
        # 24 items and more are a device's message: well formed, but not for us
        return -1 if head == 0x98 and body[2] >= 24 else 0
    count = head & 0x1F
    refused = 0 if count else 1
    position = 2
    i = 0
    while i < count:
        if position >= end:
            return 0
        head = int(body[position])
        position += 1
        if head >= 0x40:
            return -1  # text, null, a float...: nothing that a host sends, so its own form does not matter
        negative = head & 0x20
        value = head & 0x1F
        if value >= 24:
            if value > 27:
                return 0
            width = 1 << (value - 24)
            if position + width > end:
                return 0
            # the value in 16-bit parts, highest first, as far as it fits; `more` tells of bits above those
            value = 0
            more = 0
            j = 0
            while j < width:
                more = more | ((value >> 22) & 0xFF)
                value = ((value & 0x3FFFFF) << 8) | int(body[position])
                if j + 1 == width >> 1 and value == 0 and more == 0:
                    return 0  # the upper half is empty: not minimal
                position += 1
                j += 1
            if width == 1 and value < 24:
                return 0
            if more:
                refused = 1
        if negative:
            value = -1 - value
        items[i] = value
        i += 1
    if position != end:
        return 0
    return -1 if refused else count


@micropython.viper
def _within(items_buffer, count: int, limits_buffer, row: int) -> int:
    items = ptr32(items_buffer)
    limits = ptr32(limits_buffer)
    if int(limits[row]) != count:
        return 0
    high = 0x4000
    bias = high << 16  # makes signed numbers comparable, however ptr32 reads them
    mask_high = 0xFFFF
    mask = (mask_high << 16) | 0xFFFF
    i = 1  # the type picked the row
    while i < count:
        value = (int(items[i]) + bias) & mask
        row += 2
        if value < ((int(limits[row - 1]) + bias) & mask) or value > ((int(limits[row]) + bias) & mask):
            return 0
        i += 1
    return 1


def decode(body, end, items):
    """A host's message into items: its type, BAD_FORM if it is no array of integers, REFUSED if it is not for us."""
    count = _get_items(body, end, items)
    if count <= 0:
        return count
    type_ = items[0]
    if type_ < _HOST_FIRST or type_ > schema.POSE:
        return REFUSED
    return type_ if _within(items, count, _limits, (type_ - _HOST_FIRST) * _ROW) else REFUSED
