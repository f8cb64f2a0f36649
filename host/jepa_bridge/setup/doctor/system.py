"""The computer as the checks see it: its files below a root, its programs, its ports. Tests give a recorded one."""

from __future__ import annotations

import grp
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serial.tools import list_ports

from jepa_bridge.link.transport import Transport, open_transport, port_holders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

RUN_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Ran:
    """A program's end."""

    status: int
    output: str  # standard output
    errors: str = ""


def run_program(command: Sequence[str]) -> Ran | None:
    """Run it to its end; None where there is no such program, or it does not end."""
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _groups() -> frozenset[str]:
    names = set()
    for gid in {os.getegid(), *os.getgroups()}:
        try:
            names.add(grp.getgrgid(gid).gr_name)
        except KeyError:
            continue
    return frozenset(names)


def _group_of(path: Path) -> str:
    try:
        return path.group()
    except (OSError, KeyError):
        return "root"


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@dataclass(frozen=True)
class System:
    """What a check may ask; the defaults are this computer."""

    root: Path = Path("/")
    run: Callable[[Sequence[str]], Ran | None] = run_program
    listed: Callable[[], Iterable[Any]] = list_ports.comports
    opener: Callable[[str, int], Transport] = open_transport
    holders: Callable[[str], list[str]] = port_holders
    may_open: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK | os.W_OK)
    group_of: Callable[[Path], str] = _group_of
    installed: Callable[[str], bool] = _installed
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    user: str = field(default_factory=_user)
    groups: frozenset[str] = field(default_factory=_groups)  # of this process: a new one counts after the next login

    def path(self, absolute: str) -> Path:
        """Where that file of the computer lies."""
        return self.root / absolute.lstrip("/")

    def read(self, absolute: str) -> str | None:
        """The file's text without trailing white space; None if there is none."""
        try:
            return self.path(absolute).read_text(errors="replace").rstrip("\0\n ")
        except OSError:
            return None

    def processes(self) -> Iterator[tuple[int, str]]:
        """Process number and name of all that run."""
        for entry in self.path("/proc").glob("[0-9]*"):
            if (name := self.read(f"/proc/{entry.name}/comm")) is not None:
                yield int(entry.name), name

    def running(self, name: str) -> int | None:
        """The number of a process of that name."""
        return next((pid for pid, found in self.processes() if found == name), None)

    def members(self, group: str) -> set[str]:
        """Who is in that group by /etc/group."""
        for line in (self.read("/etc/group") or "").splitlines():
            name, _, rest = line.partition(":")
            if name == group:
                return set(filter(None, rest.rpartition(":")[2].split(",")))
        return set()

    def usb_devices(self) -> Iterator[tuple[int, int, Path]]:
        """Vendor, product and folder of what is on USB, whether a driver took it or not."""
        for device in sorted(self.path("/sys/bus/usb/devices").glob("*")):
            try:
                vid, pid = ((device / name).read_text().strip() for name in ("idVendor", "idProduct"))
            except OSError:
                continue  # an interface of a device
            yield int(vid, 16), int(pid, 16), device
