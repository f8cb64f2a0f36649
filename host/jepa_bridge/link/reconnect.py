"""Finds a port again that went away: by its own name, or by the USB identity that it had, under another one.

Which robot is on it is not decided here: the session compares the uid in its HELLO before anything is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serial.tools import list_ports

from jepa_bridge.errors import BridgeError
from jepa_bridge.link.transport import Transport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Reopener:
    """Opens the port of `url` again; for `Link`'s `reopen`. Make it while the port is there."""

    def __init__(
        self,
        url: str,
        baud: int = 115200,
        *,
        listed: Callable[[], Iterable[Any]] = list_ports.comports,
        opener: Callable[[str, int], Transport] = open_transport,
    ) -> None:
        self._url = url
        self._baud = baud
        self._listed = listed
        self._opener = opener
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
                return self._opener(name, self._baud)
            except BridgeError as failed:
                error = failed
        assert error is not None
        raise error


def _identity(port: Any) -> tuple[int, int, str | None] | None:
    """Of the adapter. Some makers give all of theirs one serial number: that is what the robot's uid is for."""
    return None if port.vid is None else (port.vid, port.pid, port.serial_number)
