"""Says what is on a port where no robot said HELLO, from the bytes that came instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit

if TYPE_CHECKING:
    from jepa_bridge.link.frame import FrameReader

PROMPT_MARKS = (b">>>", b"raw REPL; CTRL-B", b"MicroPython v")
BOOT_LOADER_MARKS = (b"rst:0x", b"ESP-ROM:", b"ets Ju", b"waiting for download", b"boot:0x")
CRASH_MARKS = (b"Traceback (most recent call last)",)
SHOWN_CHARACTERS = 80
TEXT_SHARE = 0.9  # of printable bytes in what a person would call text; another baud rate gives about a third


def no_hello(reader: FrameReader, name: str, timeout_s: float) -> BridgeError:
    """The error for a port on which no valid HELLO came within `timeout_s`."""
    received, hint = _received(reader)
    return BridgeError(
        "no-hello",
        f"no robot said HELLO on {name} within {timeout_s:g} s: {received}; nothing was sent",
        hint,
        status=Exit.NO_HELLO,
    )


def _received(reader: FrameReader) -> tuple[str, str]:
    text = reader.text
    if reader.frames:
        return (
            f"{reader.frames} frames came, but no HELLO",
            "the robot is in another program's session, or has just left one: wait 3 s and try again; if this stays, "
            "its firmware is of another release",
        )
    if not reader.bytes_received:
        return "nothing was received", "is this the right port, is the robot powered, and is the firmware on it?"
    if any(mark in text for mark in CRASH_MARKS):
        return (
            f"a MicroPython program crashed there, {_quote(text)}",
            "reset the robot; if it crashes again, copy the firmware to it anew",
        )
    if any(mark in text for mark in PROMPT_MARKS):
        return (
            f"a MicroPython prompt is there, {_quote(text)}",
            "the firmware is not running: reset the robot, or copy the firmware to it",
        )
    if any(mark in text for mark in BOOT_LOADER_MARKS):
        return (
            f"an ESP32 boot loader is there, {_quote(text)}",
            "the robot has just been reset or restarts again and again: wait, and look at its power supply",
        )
    printable = sum(byte in b"\t\r\n" or 32 <= byte < 127 for byte in text)
    if printable >= TEXT_SHARE * len(text):
        return f"text that is no frame came, {_quote(text)}", "this is some other device, or other firmware"
    return (
        f"{reader.bytes_received} bytes came that are neither frames nor text",
        "probably another baud rate: try --baud with the firmware's rate",
    )


def _quote(text: bytes) -> str:
    """The end of it, safe to print: control characters would act on a person's terminal."""
    return "ending in " + ascii(text.decode("ascii", "replace")[-SHOWN_CHARACTERS:])
