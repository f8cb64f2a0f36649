"""What a bad line does to bytes and frames, drawn from a seed: the part of the fault proxy that touches no file.

    chaos://flip=1e-4&drop=1e-4&seed=3@/dev/ttyUSB0
    chaos://cut=5:2@sim://open?seed=1            from second 5 on unplugged for 2 s, then back under another name

Faults stand before the first `@`, any other port behind it.

| fault | meaning |
|---|---|
| flip, drop, insert | chance for each byte: one bit turned, lost, a random byte before it |
| duplicate, reorder, truncate | chance for each frame: comes twice, comes after the next one, loses its end |
| delay, jitter | milliseconds on the way, and how much more at most |
| stall | AT:FOR seconds in which the line takes and gives nothing; several with commas |
| flood | AT:FOR seconds in which noise without a zero comes instead of what was sent |
| cut | AT:FOR seconds in which the port is gone |
| toward | robot, host or both (the default): which way the faults lie; a cut is always both |
| seed | of the random numbers |
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEME = "chaos://"
FRAME_HELD_BYTES = 1024  # more than this without a zero is no frame: it passes as it is
NOISE_BYTES = 512  # of a flood, each time the proxy looks: more than a UART at 2 Mbaud carries in that time


class Way(StrEnum):
    """Which way bytes travel."""

    ROBOT = "robot"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Span:
    """From when on, for how long; seconds since the proxy was opened."""

    at_s: float
    for_s: float

    def holds(self, now_s: float) -> bool:
        """Whether `now_s` lies in it."""
        return self.at_s <= now_s < self.at_s + self.for_s


@dataclass(frozen=True, slots=True)
class Faults:
    """How bad the line is."""

    flip: float = 0.0
    drop: float = 0.0
    insert: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    truncate: float = 0.0
    delay: float = 0.0  # ms
    jitter: float = 0.0  # ms
    stall: tuple[Span, ...] = ()
    flood: tuple[Span, ...] = ()
    cut: tuple[Span, ...] = ()
    toward: str = "both"
    seed: int = 0

    def lie(self, way: Way) -> bool:
        """Whether bytes on this way meet the faults."""
        return self.toward in ("both", way)


@dataclass(slots=True)
class Done:
    """What one way of the line has done so far."""

    bytes_in: int = 0
    bytes_out: int = 0
    flipped: int = 0
    dropped: int = 0
    inserted: int = 0
    duplicated: int = 0
    reordered: int = 0
    truncated: int = 0
    noise: int = 0  # bytes of floods


class Mangler:
    """One way of a bad line: bytes in, bytes out. Equal seeds and equal feeds give equal bytes."""

    def __init__(self, faults: Faults, way: Way) -> None:
        self.done = Done()
        self.faults = faults if faults.lie(way) else Faults()
        self._rng = random.Random(f"{faults.seed} {way}")
        self._partial = b""  # of a frame whose zero has not come
        self._held = b""  # a frame that shall come after the next one
        self._once: list[str] = []

    def once(self, fault: str) -> None:
        """Have one "drop", "insert" or "flip" happen to some byte of the next feed."""
        self._once.append(fault)

    def feed(self, data: bytes) -> bytes:
        """What comes out for `data`; a frame that is not complete yet may be held back."""
        self.done.bytes_in += len(data)
        faults = self.faults
        if faults.duplicate or faults.reorder or faults.truncate:
            data = self._frames(data)
        if faults.flip or faults.drop or faults.insert:
            data = self._bytes(data, faults.flip, faults.drop, faults.insert)
        while self._once and data:
            data = self._one(data, self._once.pop())
        self.done.bytes_out += len(data)
        return data

    def draw(self) -> float:
        """A random number from 0 to 1, for the line's timing."""
        return self._rng.random()

    def noise(self) -> bytes:
        """A piece of a flood: no zero in it."""
        self.done.noise += NOISE_BYTES
        return bytes(self._rng.choices(range(1, 256), k=NOISE_BYTES))

    def _frames(self, data: bytes) -> bytes:
        *complete, self._partial = (self._partial + data).split(b"\0")
        out = b""
        if len(self._partial) > FRAME_HELD_BYTES:
            out, self._partial = self._partial, b""
        whole = bytearray()
        for chunk in complete:
            whole += self._frame(chunk) if chunk else b"\0"
        return bytes(whole) + out

    def _frame(self, chunk: bytes) -> bytes:
        draw, faults = self._rng.random, self.faults
        if draw() < faults.truncate:
            self.done.truncated += 1
            chunk = chunk[: self._rng.randrange(len(chunk))]
        frame = chunk + b"\0"
        if draw() < faults.duplicate:
            self.done.duplicated += 1
            frame += b"\0" + frame
        if draw() < faults.reorder and not self._held:
            self.done.reordered += 1
            self._held = b"\0" + frame
            return b""
        held, self._held = self._held, b""
        return frame + held

    def _bytes(self, data: bytes, flip: float, drop: float, insert: float) -> bytes:
        draw, out = self._rng.random, bytearray()
        for byte in data:
            if draw() < insert:
                self.done.inserted += 1
                out.append(self._rng.randrange(256))
            if draw() < drop:
                self.done.dropped += 1
                continue
            if draw() < flip:
                self.done.flipped += 1
                byte ^= 1 << self._rng.randrange(8)  # noqa: PLW2901 - the byte on its way
            out.append(byte)
        return bytes(out)

    def _one(self, data: bytes, fault: str) -> bytes:
        at = self._rng.randrange(len(data))
        chances = [1.0 if fault == name else 0.0 for name in ("flip", "drop", "insert")]
        return data[:at] + self._bytes(data[at : at + 1], *chances) + data[at + 1 :]


def parse_chaos(url: str) -> tuple[Faults, str]:
    """`chaos://FAULTS@PORT` as faults and the port behind them; BridgeError for anything else."""
    text, at, port = url[len(SCHEME) :].partition("@")
    if not url.lower().startswith(SCHEME) or not at or not port:
        raise _refused(f"expected {SCHEME}FAULTS@PORT, e.g. {SCHEME}flip=1e-4&seed=3@/dev/ttyUSB0, got {url!r}")
    values: dict[str, object] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        if name not in _READERS:
            raise _refused(f"there is no fault {name!r}")
        try:
            values[name] = _READERS[name](value)
        except ValueError as error:
            raise _refused(f"the fault {name}: {error or 'no number'}, got {value!r}") from None
    return Faults(**values), port  # type: ignore[arg-type]  # each value read by its own reader


def _refused(message: str) -> BridgeError:
    known = ", ".join(item.name for item in fields(Faults))
    return BridgeError("chaos-url", message, f"known faults: {known}", status=Exit.USAGE)


def _chance(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError("expected a chance from 0 to 1")
    return value


def _milliseconds(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 10_000.0:
        raise ValueError("expected milliseconds from 0 to 10000")
    return value


def _spans(text: str) -> tuple[Span, ...]:
    spans = []
    for part in text.split(","):
        at_s, colon, for_s = part.partition(":")
        span = Span(float(at_s), float(for_s)) if colon else None
        if span is None or not (0.0 <= span.at_s < 1e9 and 0.0 < span.for_s < 1e9):
            raise ValueError("expected AT:FOR in seconds, e.g. 5:2")
        spans.append(span)
    return tuple(spans)


def _toward(text: str) -> str:
    if text not in ("robot", "host", "both"):
        raise ValueError("expected robot, host or both")
    return text


_READERS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("flip", "drop", "insert", "duplicate", "reorder", "truncate"), _chance),
    **dict.fromkeys(("delay", "jitter"), _milliseconds),
    **dict.fromkeys(("stall", "flood", "cut"), _spans),
    "toward": _toward,
    "seed": int,
}
