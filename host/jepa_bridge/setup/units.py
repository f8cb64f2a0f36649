"""The texts that make a computer start the bridge with its robot: systemd units and udev rules.

udev sees an adapter that robots have, systemd starts `jepa-bridge@ttyUSB0` for it, and stops it with the device. The
instance knows its port by its name: two robots have two bridges, and none has to guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jepa_bridge.link.discovery import ADAPTERS, ESPRESSIF_VID

UNIT = "jepa-bridge@.service"
RULES = "70-jepa-bridge.rules"  # before 73-seat-late, which makes uaccess of the tag
STOP_TIMEOUT_S = 30  # the log may take 10 s to close, link and planner 2 s each; then there is a margin
WATCHDOG_S = 20  # the loop turns 40 times a second, but before its first turn it waits 8 s for the robot at most

# what a drive needs is its port, its log, its files and the socket to systemd; all else is taken away, a GPU
# included: a system service plans on the CPU
HARDENING_USER = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
"""
HARDENING = (
    HARDENING_USER
    + """\
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
IPAddressDeny=any
DevicePolicy=closed
DeviceAllow=char-ttyUSB rw
DeviceAllow=char-ttyACM rw
"""
)


@dataclass(frozen=True, slots=True)
class Service:
    """What the units are made from."""

    program: tuple[str, ...]  # how to start jepa-bridge
    options: tuple[str, ...] = ()  # of driving, without --port
    for_user: bool = False  # a service of the user's own systemd
    run_as: str = ""  # of a system service
    group: str = "dialout"
    config: str = ""  # the settings file


def quoted(word: str) -> str:
    """One word of an ExecStart line as systemd reads it: quotes, `%` and `$` have a meaning there."""
    word = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def unit(service: Service) -> str:
    """`jepa-bridge@.service`: one bridge for one port, alive as long as that is plugged in."""
    log = () if "--log" in service.options or "--no-log" in service.options else ("--log", "%S/jepa-bridge/logs")
    config = () if not service.config else ("--config", service.config)
    words = [quoted(word) for word in (*service.program, *config)] + ["--port", "/dev/%I", *log]
    command = " ".join([*words, *(quoted(word) for word in service.options)])
    identity = "" if service.for_user else f"User={service.run_as}\nSupplementaryGroups={service.group}\n"
    return f"""\
[Unit]
Description=jepa-bridge drives the robot on %I
BindsTo=dev-%i.device
After=dev-%i.device

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
{identity}StateDirectory=jepa-bridge
StateDirectoryMode=0700
Environment=PYTHONUNBUFFERED=1
Environment=PYTHONDONTWRITEBYTECODE=1
KillMode=mixed
KillSignal=SIGTERM
SuccessExitStatus=130
TimeoutStartSec=60
TimeoutStopSec={STOP_TIMEOUT_S}
WatchdogSec={WATCHDOG_S}
WatchdogSignal=SIGTERM
# a start arms: after an end that nobody expected, a person starts it again, or plugs in again
Restart=no
{HARDENING_USER if service.for_user else HARDENING}"""


def rules(*, start: bool = True, for_user: bool = False) -> str:
    """The udev rules: who may open a robot's port, who keeps away from it, and what is started with it."""
    lines = [
        "# written by jepa-bridge service install",
        "# an FTDI chip collects bytes for 16 ms unless it is told not to",
        'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"',
        'ACTION=="remove", GOTO="jepa_bridge_end"',
        'SUBSYSTEM!="tty", GOTO="jepa_bridge_end"',
    ]
    wants = "SYSTEMD_USER_WANTS" if for_user else "SYSTEMD_WANTS"
    does = ['TAG+="uaccess"', 'ENV{ID_MM_DEVICE_IGNORE}="1"']
    if start:
        does += ['TAG+="systemd"', f'ENV{{{wants}}}+="jepa-bridge@%k.service"']
    adapters = [
        *(f'ATTRS{{idVendor}}=="{vid:04x}", ATTRS{{idProduct}}=="{pid:04x}"' for vid, pid in ADAPTERS),
        f'ATTRS{{idVendor}}=="{ESPRESSIF_VID:04x}"',
    ]
    lines += [", ".join((adapter, *does)) for adapter in adapters]
    lines.append('LABEL="jepa_bridge_end"')
    return "\n".join(lines) + "\n"
