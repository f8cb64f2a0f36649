"""COBS (consistent overhead byte stuffing): a body without zero bytes, so that a zero can end a frame.

For bodies of up to 254 bytes, which is more than a frame ever holds; so the encoding is one byte longer than the body.
"""

import micropython


@micropython.viper
def encode(body_buffer, length: int, line_buffer, start: int) -> int:
    """Write 00 | COBS(body[:length]) | 00 to line[start:]; return the end."""
    body = ptr8(body_buffer)
    line = ptr8(line_buffer)
    line[start] = 0
    code_at = start + 1
    to = start + 2
    i = 0
    while i < length:
        byte = body[i]
        if byte:
            line[to] = byte
        else:
            line[code_at] = to - code_at
            code_at = to
        to += 1
        i += 1
    line[code_at] = to - code_at
    line[to] = 0
    return to + 1


@micropython.viper
def decode_in_place(buffer, length: int) -> int:
    """Undo COBS in buffer[:length], which holds no zero; return the body's length, 0 if it is malformed."""
    data = ptr8(buffer)
    position = 0
    to = 0
    while position < length:
        code = data[position]
        next_code = position + code
        if next_code > length:
            return 0
        position += 1
        while position < next_code:
            data[to] = data[position]
            to += 1
            position += 1
        if position < length:
            data[to] = 0
            to += 1
    return to
