"""`chaos://FAULTS@PORT` as a serial port: the fault proxy started in front of PORT.

pyserial's `serial_for_url` finds this module through `serial.protocol_handler_packages`, by its name. A cut port that
is closed and opened again meets the same proxy and the same robot; closed for any other reason, both end.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import serial

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.chaos import parse_chaos
from jepa_bridge.link.proxy import Proxy
from jepa_bridge.link.transport import Transport, open_transport


class _Opened:
    """A proxy and the port behind it."""

    def __init__(self, url: str, baud: int) -> None:
        faults, port = parse_chaos(url)
        self.transport: Transport = open_transport(port, baud)
        fd = self.transport.fileno
        if fd is None:
            self.transport.close()
            raise BridgeError(
                "chaos-port", f"{port} has no file descriptor to put faults on", "use a device", status=Exit.USAGE
            )
        self.proxy = Proxy(fd, faults)

    def close(self) -> None:
        self.proxy.close()
        self.transport.close()


_OPEN: dict[str, _Opened] = {}


class Serial(serial.Serial):
    """A serial port with a bad line behind it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._opened: _Opened | None = None
        self._path = ""
        super().__init__(*args, **kwargs)

    @property
    def time_scale(self) -> float:
        """The time scale of the port behind."""
        return self._opened.transport.time_scale if self._opened else 1.0

    def open(self) -> None:
        """Open the port behind, unless a cut left it open, and the pseudo-terminal before it."""
        url = self.portstr
        if url is None or self.is_open:
            super().open()  # says what is wrong
            return
        opened = _OPEN.get(url)
        if opened is None:
            opened = _OPEN[url] = _Opened(url, self.baudrate)
        path = opened.proxy.path
        if path is None:
            raise serial.SerialException(errno.ENOENT, f"could not open port {url}: {os.strerror(errno.ENOENT)}")
        try:
            self.portstr = path
            super().open()
            self._opened, self._path = opened, path
        finally:
            self.portstr = url

    def close(self) -> None:
        """Close the port; the one behind too, unless this one was cut."""
        super().close()
        opened, self._opened = self._opened, None
        if opened is not None and opened.proxy.path == self._path and self.portstr is not None:
            _OPEN.pop(self.portstr, None)
            opened.close()

    def _update_dtr_state(self) -> None:
        """A pseudo-terminal has no modem lines; setting one changes nothing."""

    def _update_rts_state(self) -> None:
        """As for DTR."""
