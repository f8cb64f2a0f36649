"""What a link counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkStats:
    """Counts since the link was made."""

    frames_in: int  # messages of the robot that were acted on
    frames_out: int
    frames_bad: int  # COBS, magic, CRC, CBOR form
    frames_refused: int  # good frames with a wrong type, field, session or sequence
    garbage_bytes: int  # bytes outside of frames
    missed_frames: int  # gaps in the robot's sequence numbers
    sensors: int
    commands_superseded: int  # given out, but replaced before the port took them
    writes_timed_out: int
    sessions: int  # opened; more than one: the robot or the cable was away
    sessions_lost: int
    reboots: int
    reconnects: int  # ports opened again
    rtt_us: int | None  # of the clock exchange that counts; None before the first
    clock_bound_us: int | None  # how far the robot's clock may be off our estimate of it
