"""A port as bytes: a serial device, `socket://`, `rfc2217://`, the twin behind `sim://`, a bad line by `chaos://`.

pyserial opens them all; this file sets a port up for a robot and turns what can go wrong into errors that name the
cause and the next step.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import termios
from pathlib import Path
from typing import Any

import serial
from serial.tools import list_ports

from jepa_bridge.errors import BridgeError, Exit

READ_TIMEOUT_S = 0.02  # how long a read waits for its first byte: the reader's timers run at least this often
WRITE_TIMEOUT_S = 0.2  # a frame takes 10 ms at 115200 baud; later than a command's expiry it is not worth sending
HANDLERS = ("jepa_bridge.twin", "jepa_bridge.link")  # the packages where pyserial finds protocol_sim, protocol_chaos

for _package in HANDLERS:
    if _package not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(_package)


class Transport:
    """An open port. One thread may read while another writes; `close` is called when both have ended."""

    def __init__(self, port: Any, name: str) -> None:
        self.name = name
        self.time_scale = float(getattr(port, "time_scale", 1.0))  # above 1: a twin that runs faster than the wall
        self._port = port
        self._fd = _file_descriptor(port)
        self._unread = b""
        port.timeout = READ_TIMEOUT_S / max(1.0, self.time_scale)
        port.write_timeout = WRITE_TIMEOUT_S

    @property
    def fileno(self) -> int | None:
        """The port's descriptor; None for a port that is no file, and once closed."""
        return self._fd

    def read(self, max_bytes: int = 4096) -> bytes:
        """What has arrived, at most `max_bytes`; b"" if nothing came within the read timeout. Raises `link-lost`."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        try:
            # pyserial's read waits until it has all that was asked for, so ask for one byte and then for what is there
            data = bytes(self._port.read(1))
            while data and len(data) < max_bytes and (waiting := self._port.in_waiting):
                data += self._port.read(min(waiting, max_bytes - len(data)))
            return data
        except (OSError, TypeError) as error:  # TypeError: pyserial on a descriptor that has gone
            raise self._lost(error) from error

    def unread(self, data: bytes) -> None:
        """Have the next read return this first: who listened for a robot hands its HELLO on with the port."""
        self._unread = data + self._unread

    def write(self, data: bytes) -> bool:
        """Hand bytes to the port; False if it did not take them in time. Raises `link-lost`.

        After False a part may be on the line: the next frame's leading zero makes an end of it.
        """
        try:
            # with a full buffer pyserial's write spins until its timeout: wait for room first
            if self._fd is not None and not select.select([], [self._fd], [], WRITE_TIMEOUT_S)[1]:
                return False
            self._port.write(data)
        except serial.SerialTimeoutException:
            return False
        except (OSError, TypeError, ValueError) as error:  # ValueError: select on a closed descriptor
            raise self._lost(error) from error
        return True

    def close(self) -> None:
        """Give the port back; never raises, the port may be gone already."""
        fd, self._fd = self._fd, None  # closed twice, the number may be another file's by then
        if fd is not None:
            with contextlib.suppress(OSError):
                fcntl.ioctl(fd, termios.TIOCNXCL)  # a pty would stay refused to the next program
        with contextlib.suppress(OSError, termios.error):
            self._port.close()

    def _lost(self, error: Exception) -> BridgeError:
        return BridgeError(
            "link-lost",
            f"the connection on {self.name} broke: {error}",
            "look at cable, power and USB hub; another program that reads the port does this too",
            status=Exit.LINK_LOST,
        )


def open_transport(url: str, baud: int = 115200) -> Transport:
    """Open a device path or a URL for one robot, for us alone.

    Raises BridgeError with Exit.PORT: `port-missing`, `port-busy`, `port-permission`, `port-invalid-url`,
    `port-failed`. An error of the twin (`missing-extra`) comes through as it is.
    """
    try:
        port = serial.serial_for_url(
            url, baudrate=baud, exclusive=True, write_timeout=WRITE_TIMEOUT_S, do_not_open=True
        )
        # Both lines asserted is how the kernel leaves them on open. An ESP32's reset circuit pulls EN or IO0 only while
        # the two differ, and a board with native USB sends only while DTR is asserted.
        port.dtr = True
        port.rts = True
        port.open()
    except (OSError, ValueError, termios.error) as error:
        raise _open_error(url, error) from error
    fd = _file_descriptor(port)
    if fd is not None:
        _claim(fd)
        # what USB adapters collect for 16 ms otherwise (FTDI) is passed on at once
        with contextlib.suppress(OSError, ValueError, NotImplementedError, AttributeError):
            port.set_low_latency_mode(True)
    return Transport(port, url)


def _file_descriptor(port: object) -> int | None:
    """The port's descriptor, or None for ports that are no file (`loop://`, `socket://`)."""
    if not isinstance(port, serial.Serial):
        return None
    return int(port.fileno())


def _claim(fd: int) -> None:
    """Set up what pyserial has no setting for; each is refused by some port and none is needed to go on."""
    # without HUPCL the kernel leaves DTR and RTS as they are when we go, and the robot is not reset
    with contextlib.suppress(OSError, termios.error):
        attributes = termios.tcgetattr(fd)
        attributes[2] &= ~termios.HUPCL
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
    with contextlib.suppress(OSError):
        # programs that take no flock, such as screen or ModemManager, are kept out too (root is not)
        fcntl.ioctl(fd, termios.TIOCEXCL)


def _open_error(url: str, error: Exception) -> BridgeError:
    number = getattr(error, "errno", None)
    if isinstance(error, ValueError):
        return BridgeError(
            "port-invalid-url",
            f"{url!r} is no port: {error}",
            "expected a device such as /dev/ttyUSB0, or sim://, socket://HOST:PORT, rfc2217://HOST:PORT, chaos://FAULTS@PORT",
            status=Exit.PORT,
        )
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        ports = [port.device for port in list_ports.comports()]
        return BridgeError(
            "port-missing",
            f"there is no port {url}",
            f"ports on this machine: {', '.join(ports) or 'none; is the robot plugged in and powered?'}",
            status=Exit.PORT,
        )
    if number in (errno.EAGAIN, errno.EBUSY):
        holders = port_holders(url)
        return BridgeError(
            "port-busy",
            f"{url} is in use by {', '.join(holders) or 'another program (of another user, so its name is hidden)'}",
            "end that program and try again",
            status=Exit.PORT,
        )
    if number in (errno.EACCES, errno.EPERM):
        return BridgeError(
            "port-permission",
            f"this user may not open {url}",
            f"run once: sudo usermod -aG {_group_of(url)} $USER; then log out and in again",
            status=Exit.PORT,
        )
    return BridgeError(
        "port-failed", f"{url} cannot be opened: {error}", "is it a serial port, and alive?", status=Exit.PORT
    )


def port_holders(path: str) -> list[str]:
    """Programs that have the device open, as "NAME (pid N)"; only those that this user may look into."""
    target = os.path.realpath(path)
    holders = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(fd.readlink()) == target for fd in (process / "fd").iterdir()):
                holders.append(f"{(process / 'comm').read_text().strip()} (pid {process.name})")
        except OSError:
            continue  # it has ended, or belongs to another user
    return holders


def _group_of(path: str) -> str:
    """The group that owns the device; `dialout` where it cannot be told."""
    try:
        group = Path(path).group()
    except (OSError, KeyError):
        return "dialout"
    return group if group not in ("root", "") else "dialout"
