"""Puts the units where systemd and udev look for them, takes them away again, and says how it stands.

Nothing here gains rights: a system service is installed by root, a user's own by the user, and what a person has to do
as root is told as a command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.setup.units import RULES, UNIT, Service, rules, unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RULES_FOLDER = "/etc/udev/rules.d"
UNIT_FOLDER = "/etc/systemd/system"


def call(command: Sequence[str]) -> tuple[int, str]:
    """Run a program; its status and what it said. 127 where there is none."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return ran.returncode, (ran.stdout + ran.stderr).strip()


def this_program() -> tuple[str, ...]:
    """How to start jepa-bridge as it runs now."""
    script = Path(sys.executable).parent / "jepa-bridge"
    return (str(script),) if script.is_file() else (sys.executable, "-c", "from jepa_bridge.cli import main; main()")


def serial_group(root: Path = Path("/")) -> str:
    """The group that serial ports belong to: `dialout` on Debian, `uucp` on Arch."""
    try:
        known = {line.partition(":")[0] for line in (root / "etc/group").read_text().splitlines()}
    except OSError:
        known = set()
    return "uucp" if "uucp" in known and "dialout" not in known else "dialout"


@dataclass(frozen=True, slots=True)
class Place:
    """Where things go, and who runs the programs; tests give a folder and a list."""

    root: Path = Path("/")
    home: Path | None = None  # of the user, for a user's own service
    run: Callable[[Sequence[str]], tuple[int, str]] = call

    def rules(self) -> Path:
        """The udev rules; there are none of a user's own."""
        return self.root / RULES_FOLDER.lstrip("/") / RULES

    def unit(self, *, for_user: bool) -> Path:
        """The unit."""
        if not for_user:
            return self.root / UNIT_FOLDER.lstrip("/") / UNIT
        base = os.environ.get("XDG_CONFIG_HOME", "") if self.home is None else ""
        folder = Path(base) if base else (self.home or Path.home()) / ".config"
        return folder / "systemd" / "user" / UNIT


def files(service: Service, place: Place, *, only: str | None = None, start: bool = True) -> dict[Path, str]:
    """Every file of an installation with its text; `only` "unit" or "rules"."""
    found = {}
    if only != "unit":
        found[place.rules()] = rules(start=start, for_user=service.for_user)
    if only != "rules":
        found[place.unit(for_user=service.for_user)] = unit(service)
    return found


def install(service: Service, place: Place, *, only: str | None = None, start: bool = True) -> list[str]:
    """Write the files and have them read. Returns what is left for a person to do, as commands."""
    left = []
    for path, text in files(service, place, only=only, start=start).items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            if not service.for_user or path != place.rules():
                raise _refused(path, error) from error
            # a user's own service: the rules are the one thing that root must do
            program = " ".join(this_program())
            left.append(f"{program} service install --user --only rules --dry-run | sudo tee {path}")
    for command in reload(for_user=service.for_user):
        if left and command[0] == "udevadm":
            left.append(" ".join(("sudo", *command)))
            continue
        status, _ = place.run(command)
        if status != 0:
            left.append(" ".join(command if "--user" in command else ("sudo", *command)))
    return left


def reload(*, for_user: bool) -> list[tuple[str, ...]]:
    """What has systemd and udev read the files, and udev look again at what is plugged in."""
    return [
        ("systemctl", *(("--user",) if for_user else ()), "daemon-reload"),
        ("udevadm", "control", "--reload"),
        ("udevadm", "trigger", "--subsystem-match=tty"),
    ]


def remove(place: Place, *, for_user: bool) -> tuple[list[Path], list[str]]:
    """Stop what runs and take the files away; which ones there were, and what is left for a person to do."""
    gone: list[Path] = []
    left: list[str] = []
    place.run(("systemctl", *(("--user",) if for_user else ()), "stop", "jepa-bridge@*.service"))
    for path in (place.unit(for_user=for_user), place.rules()):
        try:
            path.unlink()
            gone.append(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            if not for_user or path != place.rules():
                raise _refused(path, error) from error
            left.append(f"sudo rm {path}")
    for command in reload(for_user=for_user):
        place.run(command)
    return gone, left


def status(place: Place) -> dict[str, object]:
    """Which files are there, and which bridges run."""
    running = {}
    for name, manager in (("system", ("systemctl",)), ("user", ("systemctl", "--user"))):
        code, said = place.run((*manager, "list-units", "--plain", "--no-legend", "--all", "jepa-bridge@*.service"))
        running[name] = [line.split()[0:4] for line in said.splitlines() if line.strip()] if code == 0 else None
    return {
        "rules": str(place.rules()) if place.rules().is_file() else None,
        "system_unit": str(place.unit(for_user=False)) if place.unit(for_user=False).is_file() else None,
        "user_unit": str(place.unit(for_user=True)) if place.unit(for_user=True).is_file() else None,
        "running": running,
    }


def _refused(path: Path, error: OSError) -> BridgeError:
    return BridgeError(
        "service-refused",
        f"{path} cannot be written or removed: {error.strerror}",
        "run it with sudo, or for yourself alone with --user",
        status=Exit.USAGE,
    )
