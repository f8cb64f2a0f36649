"""Byte streams for the framers: noise, and frames damaged in every way that a line damages them."""

from __future__ import annotations

import random

import numpy as np
from fuzz_messages import messages

from jepa_bridge.link.codec import encode, frame_of_body

BLOCK_BYTES = 4 << 20
POOL_FRAMES = 4096
FRAME_BYTES_PER_FAULT = 20  # frames have 15 to 80 bytes, so few arrive whole


class Pool:
    """The frames that were really sent. Whatever a receiver accepts must be one of them."""

    def __init__(self, seed: int = 0) -> None:
        self.bodies = [encode(message) for message in messages(seed, POOL_FRAMES)]
        self.frames = [frame_of_body(body) for body in self.bodies]
        self.known = frozenset(self.bodies)


def noise(seed: int, index: int, size: int = BLOCK_BYTES) -> bytes:
    """Random bytes; every fourth block is poor in zeros, every fourth is of the bytes that frames are made of."""
    draw = np.random.default_rng((seed, index, 1))
    block = draw.integers(0, 256, size, dtype=np.uint8)
    if index % 4 == 1:
        block[block == 0] = 1
        block[draw.integers(0, size, size // 5000)] = 0
    elif index % 4 == 3:
        usual = np.frombuffer(b"\0\0\x01\x02\x03\x05\x07\xb1\xb1\x84\x87\x91\x98\x18\x19\x1a\xf6\xff", np.uint8)
        block = usual[block % len(usual)]
    return block.tobytes()


def damaged(pool: Pool, seed: int, index: int, size: int = BLOCK_BYTES) -> bytes:
    """The pool's frames, with bits flipped, bytes exchanged, lost and inserted, pieces repeated and out of order."""
    draw = np.random.default_rng((seed, index, 2))
    plain = random.Random(f"{seed} {index}")
    parts: list[bytes] = []
    length = 0
    while length < size:
        frame = pool.frames[plain.randrange(POOL_FRAMES)]
        parts.append(frame)
        length += len(frame)
    stream = np.frombuffer(b"".join(parts), np.uint8).copy()
    faults = size // FRAME_BYTES_PER_FAULT

    def anywhere(share: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return draw.integers(0, len(stream), int(faults * share))

    at = anywhere(0.4)
    np.bitwise_xor.at(stream, at, (1 << draw.integers(0, 8, len(at))).astype(np.uint8))
    at = anywhere(0.2)
    stream[at] = draw.integers(0, 256, len(at), dtype=np.uint8)
    at = anywhere(0.1)
    stream[at] = 0
    stream = np.delete(stream, anywhere(0.15))
    at = anywhere(0.15)
    stream = np.insert(stream, at, draw.integers(0, 256, len(at), dtype=np.uint8))
    data = stream.tobytes()
    cuts = sorted(plain.randrange(len(data)) for _ in range(size // 2000))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    for _ in range(len(pieces) // 4):
        a, b = plain.randrange(len(pieces)), plain.randrange(len(pieces))
        pieces[a], pieces[b] = pieces[b], pieces[a] if plain.random() < 0.5 else pieces[b]
    return b"".join(pieces)[:size]
