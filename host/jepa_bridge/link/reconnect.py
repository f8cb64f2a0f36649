"""Finds a port again that went away: by its own name, or by the USB identity that it had, under another one.

Which robot is on it is not decided here: the session compares the uid in its HELLO before anything is written.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serial.tools import list_ports

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.discovery import HELLO_WAIT_S, Ear
from jepa_bridge.link.transport import Transport, open_transport

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

WATCH_S = 0.05  # how soon a port that comes back is noticed
NAMES = ("ttyUSB*", "ttyACM*")


class Reopener:
    """Opens the port of `url` again; for `Link`'s `reopen`. Make it while the port is there."""

    def __init__(
        self,
        url: str,
        baud: int = 115200,
        *,
        listed: Callable[[], Iterable[Any]] = list_ports.comports,
        opener: Callable[[str, int], Transport] = open_transport,
        uid: bytes | None = None,
        devices: Path = Path("/dev"),
    ) -> None:
        """With `uid`, where several ports have the same identity, that robot is listened for, and no other is taken."""
        self._url = url
        self._baud = baud
        self._listed = listed
        self._opener = opener
        self._uid = uid
        self._devices = devices
        # a UART of the board itself, a pty or a URL has none, and is known by its name alone
        self._identity = next((known for port in listed() if port.device == url and (known := _identity(port))), None)

    def __call__(self) -> Transport:
        """The port, open. Raises the BridgeError of the last one tried."""
        names = [self._url]
        if self._identity is not None:
            names += [
                port.device for port in self._listed() if port.device != self._url and _identity(port) == self._identity
            ]
        error: BridgeError | None = None
        for name in names:
            try:
                transport = self._opener(name, self._baud)
                return transport if self._uid is None or len(names) == 1 else self._told_apart(transport)
            except BridgeError as failed:
                error = failed
        assert error is not None
        raise error

    def pause(self, closing: threading.Event, delay_s: float) -> bool:
        """Wait so long before the next try, less if a port comes or changes; True once `closing`."""
        end_s = time.monotonic() + delay_s
        before = self._seen()
        while (left_s := end_s - time.monotonic()) > 0:
            if closing.wait(min(left_s, WATCH_S)):
                return True
            if self._seen() - before:  # not when one goes: that brings nothing back
                return False
        return closing.is_set()

    def _seen(self) -> set[tuple[str, int, int, int]]:
        """The ports, and who may open them: udev sets that after the device is there."""
        seen = set()
        for path in (Path(self._url), *(path for name in NAMES for path in self._devices.glob(name))):
            try:
                status = path.stat()
            except (OSError, ValueError):  # gone, or a URL
                continue
            seen.add((str(path), status.st_rdev, status.st_mode, status.st_gid))
        return seen

    def _told_apart(self, transport: Transport) -> Transport:
        ear = Ear(transport, time.monotonic())
        try:
            while ear.hello is None and time.monotonic() - ear.began_s < HELLO_WAIT_S:
                ear.listen()
        except BridgeError:
            transport.close()
            raise
        if ear.hello is None or ear.hello.uid != self._uid:
            transport.close()
            raise BridgeError("no-hello", f"the robot is not on {transport.name}", status=Exit.NO_HELLO)
        return ear.hand_over()


def _identity(port: Any) -> tuple[int, int, str | None] | None:
    """Of the adapter. Some makers give all of theirs one serial number: that is what the robot's uid is for."""
    return None if port.vid is None else (port.vid, port.pid, port.serial_number)
