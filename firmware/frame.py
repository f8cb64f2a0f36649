"""Frames on the line: 00 | COBS( B1 | CBOR | CRC-32 ) | 00. A Receiver for one direction, a Sender for the other.

Neither allocates after start-up, and neither waits: the Receiver takes bytes in any portions, the Sender keeps what the
line did not take, up to the length of two frames, and drops newer frames whole while there is no room.
"""

import micropython
from array import array
from micropython import const

import cobs
import crc32
from schema import CRC_SEED_HIGH, CRC_SEED_LOW, FRAME_MAGIC, FRAME_MAX_BYTES, HELLO

_CHUNK_BYTES = const(256)
_CRC_BYTES = const(4)
_SHORTEST_BODY_BYTES = const(6)  # magic, an empty array, CRC
_ARRAY_HEAD_1_BYTE = const(0x98)
_LINE_FRAME_BYTES = const(128 + 3)  # COBS adds one byte, and a zero on either side
_COUNTER_MAX = const(0x3FFFFFFF)

# indices into a receiver's place
_POSITION = const(0)  # next unread byte of the chunk
_END = const(1)  # bytes in the chunk
_FILLED = const(2)  # bytes of the frame gathered so far
_OVERLONG = const(3)  # 1: the run is longer than any frame, drop it up to the next zero


@micropython.viper
def _gather(place_buffer, chunk_buffer, frame_buffer, frame_max: int) -> int:
    """Gather bytes up to the next zero: the frame's length, -1 for an overlong run, 0 when the chunk is used up."""
    place = ptr32(place_buffer)
    chunk = ptr8(chunk_buffer)
    frame = ptr8(frame_buffer)
    position = int(place[_POSITION])
    end = int(place[_END])
    filled = int(place[_FILLED])
    overlong = int(place[_OVERLONG])
    while position < end:
        byte = chunk[position]
        position += 1
        if byte:
            if filled < frame_max:
                frame[filled] = byte
                filled += 1
            else:
                overlong = 1
        elif filled:
            place[_POSITION] = position
            place[_FILLED] = 0
            place[_OVERLONG] = 0
            return -1 if overlong else filled
    place[_POSITION] = position
    place[_FILLED] = filled
    place[_OVERLONG] = overlong
    return 0


def seeded_by_schema(body):
    """Whether the CRC of this body continues from the schema hash: true for all but HELLO."""
    return body[3 if body[1] == _ARRAY_HEAD_1_BYTE else 2] != HELLO


class Receiver:
    def __init__(self):
        self.chunk = bytearray(_CHUNK_BYTES)  # where the board puts what it read
        self.body = bytearray(FRAME_MAX_BYTES + 1)  # COBS adds one byte; decoded in place
        self.frames_bad = 0
        self._place = array("i", [0, 0, 0, 0])

    def load(self, n):
        """The first n bytes of `chunk` are new: walk through their frames with next()."""
        self._place[_POSITION] = 0
        self._place[_END] = n

    def next(self):
        """The end of the CBOR in `body` (which starts at 1, behind the magic); 0 when the chunk is used up."""
        while True:
            length = _gather(self._place, self.chunk, self.body, FRAME_MAX_BYTES + 1)
            if length == 0:
                return 0
            if length > 0:
                length = cobs.decode_in_place(self.body, length)
                if length >= _SHORTEST_BODY_BYTES and self.body[0] == FRAME_MAGIC:
                    end = length - _CRC_BYTES
                    seeded = seeded_by_schema(self.body)
                    if crc32.matches(self.body, end, CRC_SEED_HIGH if seeded else 0, CRC_SEED_LOW if seeded else 0):
                        return end
            self.count_bad()

    def count_bad(self):
        if self.frames_bad < _COUNTER_MAX:
            self.frames_bad += 1


@micropython.viper
def _drop_front(buffer, dropped: int, length: int):
    data = ptr8(buffer)
    i = dropped
    while i < length:
        data[i - dropped] = data[i]
        i += 1


class Sender:
    def __init__(self, board):
        self.body = bytearray(FRAME_MAX_BYTES)  # the caller writes CBOR at 1
        self.body[0] = FRAME_MAGIC
        self.frames_dropped = 0
        self._board = board
        # Two frames: at 115200 baud an ACK that falls due together with a SENSOR would else be dropped each time. Not
        # more, because what waits here grows old.
        self._line = bytearray(2 * _LINE_FRAME_BYTES)
        self._pending = 0  # bytes of _line that the board has not taken yet

    def ready(self):
        """Whether there is room for a frame; if not, the one that the caller had in mind counts as dropped."""
        self.flush()
        if self._pending <= _LINE_FRAME_BYTES:
            return True
        if self.frames_dropped < _COUNTER_MAX:
            self.frames_dropped += 1
        return False

    def send(self, end):
        """Frame body[1:end] and give it to the board. Only after ready()."""
        seeded = seeded_by_schema(self.body)
        crc32.append(self.body, end, CRC_SEED_HIGH if seeded else 0, CRC_SEED_LOW if seeded else 0)
        self._pending = cobs.encode(self.body, end + _CRC_BYTES, self._line, self._pending)
        self.flush()

    def flush(self):
        """Give the board what it takes; true when nothing is left."""
        if self._pending:
            accepted = self._board.write(self._line, self._pending)
            if accepted:
                _drop_front(self._line, accepted, self._pending)
                self._pending -= accepted
        return self._pending == 0
