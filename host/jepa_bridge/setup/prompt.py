"""Getting a board to its MicroPython prompt. The firmware does not hear Ctrl-C, but for a moment after a reset."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link import Clock, Link, open_transport

if TYPE_CHECKING:
    from jepa_bridge.link import Transport

INTERRUPT_EVERY_S = 0.05  # the firmware listens for 0.4 s
TRY_S = 0.5  # a prompt that is there answers at once
PATIENCE_S = 6.0  # a cold start, and the loading of all modules
LISTEN_S = 3.0  # HELLO comes twice a second, but not until 2 s after the last session's host went silent
RESET_S = 0.1
PROMPT = b">>> "
AWAY = frozenset({"port-missing", "port-failed", "port-permission", "link-lost"})  # permission: udev has yet to come


def to_prompt(port: str, baud: int) -> str:
    """Bring the device on `port` to its prompt; says how: "prompt", "reboot" or "reset".

    A robot that runs is told to reboot, over its own protocol; anything else is reset by the lines of its port. Raises
    `no-prompt`, and what opening a port raises.
    """
    how = "reboot" if _reboot(port, baud) else "prompt"
    for way, patience_s in ((how, PATIENCE_S if how == "reboot" else TRY_S), ("reset", PATIENCE_S)):
        if _answers(port, baud, patience_s, reset=way == "reset"):
            return way
    raise BridgeError(
        "no-prompt",
        f"no MicroPython prompt appeared on {port}",
        "press the board's reset button (EN, RST) right after starting this again; a new board needs --image first",
        status=Exit.NO_HELLO,
    )


def open_when_there(port: str, baud: int, patience_s: float) -> Transport:
    """Open a port that may be away: a chip that is its own USB device leaves and comes back when it is reset."""
    end_s = time.monotonic() + patience_s
    while True:
        try:
            return open_transport(port, baud)
        except BridgeError as error:
            if error.code not in AWAY or time.monotonic() >= end_s:
                raise
            time.sleep(RESET_S)


def _answers(port: str, baud: int, patience_s: float, *, reset: bool) -> bool:
    """Whether a prompt answers an interrupt within this time."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        transport = open_when_there(port, baud, end_s - time.monotonic())
        try:
            if reset:
                reset = False
                _pulse_reset(transport)
            return _interrupt(transport, end_s)
        except BridgeError as error:
            if error.code not in AWAY:
                raise
        finally:
            transport.close()
    return False


def _interrupt(transport: Transport, end_s: float) -> bool:
    heard = b""
    asked_s = -INTERRUPT_EVERY_S
    while time.monotonic() < end_s:
        if time.monotonic() - asked_s >= INTERRUPT_EVERY_S:
            asked_s = time.monotonic()
            # out of the raw mode, end what runs, and a line
            transport.write(b"\x02\x03\r")
        heard = (heard + transport.read())[-4096:]
        if heard.endswith(PROMPT):
            _drain(transport)
            return True
    return False


def _drain(transport: Transport) -> None:
    while transport.read():
        pass


def _reboot(port: str, baud: int) -> bool:
    """Ask a robot that says HELLO to start again. False: none does, or it speaks another protocol."""
    transport = open_transport(port, baud)
    link = Link(transport, Clock(transport.time_scale))
    link.start()
    try:
        end_s = time.monotonic() + LISTEN_S
        while link.hello is None and time.monotonic() < end_s:
            time.sleep(0.05)
        if link.hello is None:
            return False
        link.wait_ready(LISTEN_S)
        link.reboot()
    except BridgeError:
        return False
    finally:
        link.close()
    return True


def _pulse_reset(transport: Transport) -> None:
    """EN low for a moment, as the reset circuits of ESP32 boards are wired; nothing where there are no such lines."""
    port: Any = transport._port  # lines are of no use to anybody else
    try:
        port.dtr = False
        port.rts = True
        time.sleep(RESET_S)
        port.rts = False
        time.sleep(RESET_S)  # DTR alone pulls IO0, which must be high until the chip has looked where to boot from
        port.dtr = True
        port.rts = True
    except OSError:
        return
