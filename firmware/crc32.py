"""CRC-32 (IEEE, as zlib.crc32) that never hands a 32-bit number to the VM.

On a 32-bit port small ints have 31 bits, so a checksum that crossed from viper into bytecode would be allocated on the
heap. Here it is written to, and compared with, the buffer inside viper; a seed comes in as two 16-bit halves. Viper's
word has 32 bits on the microcontroller and 64 on a PC, and CPython's has no end: the masks make all three agree.
"""

import micropython
from array import array

_table = array("I", [0] * 256)


@micropython.viper
def _fill(table_buffer):
    table = ptr32(table_buffer)
    # put together at run time: 0xEDB88320 as a literal would be an object and not a viper int
    high = 0xEDB8
    polynomial = (high << 16) | 0x8320
    high = 0x7FFF
    below_sign = (high << 16) | 0xFFFF
    byte = 0
    while byte < 256:
        crc = byte
        bit = 0
        while bit < 8:
            odd = crc & 1
            crc = (crc >> 1) & below_sign
            if odd:
                crc = crc ^ polynomial
            bit += 1
        table[byte] = crc
        byte += 1


_fill(_table)


@micropython.viper
def append(buffer, length: int, seed_high: int, seed_low: int):
    """Write the checksum of buffer[:length], little-endian, behind it."""
    data = ptr8(buffer)
    table = ptr32(_table)
    crc = ((seed_high ^ 0xFFFF) << 16) | (seed_low ^ 0xFFFF)
    i = 0
    while i < length:
        crc = table[(crc ^ data[i]) & 0xFF] ^ ((crc >> 8) & 0xFFFFFF)
        i += 1
    data[i] = (crc & 0xFF) ^ 0xFF
    data[i + 1] = ((crc >> 8) & 0xFF) ^ 0xFF
    data[i + 2] = ((crc >> 16) & 0xFF) ^ 0xFF
    data[i + 3] = ((crc >> 24) & 0xFF) ^ 0xFF


@micropython.viper
def matches(buffer, length: int, seed_high: int, seed_low: int) -> int:
    """1 if the four bytes behind buffer[:length] are its checksum, else 0."""
    data = ptr8(buffer)
    table = ptr32(_table)
    crc = ((seed_high ^ 0xFFFF) << 16) | (seed_low ^ 0xFFFF)
    i = 0
    while i < length:
        crc = table[(crc ^ data[i]) & 0xFF] ^ ((crc >> 8) & 0xFFFFFF)
        i += 1
    wrong = data[i] ^ ((crc & 0xFF) ^ 0xFF)
    wrong |= data[i + 1] ^ (((crc >> 8) & 0xFF) ^ 0xFF)
    wrong |= data[i + 2] ^ (((crc >> 16) & 0xFF) ^ 0xFF)
    wrong |= data[i + 3] ^ (((crc >> 24) & 0xFF) ^ 0xFF)
    return 0 if wrong else 1
