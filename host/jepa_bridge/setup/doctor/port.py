"""Is the port there, may we open it, who else wants it? Looks at files only: no port is opened here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jepa_bridge.link.discovery import ADAPTERS, ESPRESSIF_VID, is_candidate
from jepa_bridge.setup.doctor.finding import Finding, Level, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jepa_bridge.setup.doctor.system import System

DRIVERS = {0x10C4: "cp210x", 0x1A86: "ch341", 0x0403: "ftdi_sio", ESPRESSIF_VID: "cdc_acm"}
BRLTTY_VIDS = {0x10C4, 0x1A86, 0x0403}  # that brltty's udev rules name
LATENCY_MAX_MS = 2  # the chip's default is 16: a command would be that much older


def candidates(system: System) -> list[Any]:
    """The ports that may be a robot's."""
    return [port for port in system.listed() if is_candidate(port)]


def present(system: System, target: Target) -> Iterator[Finding]:
    """Is there a port at all?"""
    if target.port is not None and target.device is None:
        return
    there = candidates(system)
    if target.device is not None:
        if system.path(target.device).exists():
            yield Finding("port-ok", Level.OK, f"{target.device} is there")
            return
        names = ", ".join(port.device for port in there) or "none that may be a robot"
        yield Finding(
            "port-missing", Level.PROBLEM, f"there is no port {target.device}; there is: {names}", "jepa-bridge ports"
        )
    elif len(there) > 1:
        names = ", ".join(port.device for port in there)
        yield Finding(
            "ports-several", Level.NOTE, f"more than one adapter is there: {names}",
            f"jepa-bridge doctor --port {there[0].device}",
        )  # fmt: skip
    elif there:
        yield Finding("port-ok", Level.OK, f"{there[0].device} is there")
    if not there:
        yield from _absent(system)


def _absent(system: System) -> Iterator[Finding]:
    for vid, pid, _ in system.usb_devices():
        if vid == ESPRESSIF_VID or (vid, pid) in ADAPTERS:
            if vid in BRLTTY_VIDS and system.running("brltty") is not None:
                return  # `brltty` says so
            yield Finding(
                "adapter-without-driver", Level.PROBLEM,
                f"an adapter {vid:04x}:{pid:04x} is on USB, but no driver made a port of it",
                f"sudo modprobe {DRIVERS[vid]}",
            )  # fmt: skip
            return
    yield Finding(
        "port-none", Level.PROBLEM,
        "no adapter of a robot is on USB: it is not plugged in, not powered, or the cable carries power only",
        "plug it in with another cable while this runs: sudo dmesg --follow",
    )  # fmt: skip


def permission(system: System, target: Target) -> Iterator[Finding]:
    """May this user open it?"""
    if target.device is None or not (path := system.path(target.device)).exists():
        return
    if system.may_open(path):
        yield Finding("permission-ok", Level.OK, f"{system.user} may open {target.device}")
        return
    group = system.group_of(path)
    if group in ("root", ""):
        known = [name for name in ("dialout", "uucp") if f"\n{name}:" in "\n" + (system.read("/etc/group") or "")]
        group = known[0] if known else "dialout"
    if system.user in system.members(group) and group not in system.groups:
        yield Finding(
            "permission-login", Level.PROBLEM,
            f"{system.user} is in the group {group} since after this login: log out and in again", f"newgrp {group}",
        )  # fmt: skip
        return
    yield Finding(
        "permission", Level.PROBLEM,
        f"{system.user} may not open {target.device}, which belongs to the group {group}; log out and in again after",
        f"sudo usermod -aG {group} {system.user}",
    )  # fmt: skip


def holder(system: System, target: Target) -> Iterator[Finding]:
    """Who has it open?"""
    for text in system.holders(target.device) if target.device else ():
        pid = text.rpartition("pid ")[2].rstrip(")")
        service = text.startswith("jepa-bridge")
        yield Finding(
            "port-held", Level.PROBLEM, f"{target.device} is held by {text}",
            f"systemctl stop 'jepa-bridge@*', or kill {pid}" if service else f"kill {pid}",
        )  # fmt: skip


def brltty(system: System, _: Target) -> Iterator[Finding]:
    """A driver for braille displays takes the adapters that robots use, too, and its port vanishes."""
    if system.running("brltty") is None:
        return
    on_usb = [f"{vid:04x}:{pid:04x}" for vid, pid, _ in system.usb_devices() if (vid, pid) in ADAPTERS]
    if not on_usb:
        return
    stolen = not candidates(system)
    says = f"brltty has taken the adapter {on_usb[0]}" if stolen else f"brltty runs and may take {on_usb[0]}"
    yield Finding(
        "brltty", Level.PROBLEM if stolen else Level.WARNING,
        f"{says} for a braille display; if nobody here uses one, mask it and plug the robot in again",
        "sudo systemctl mask --now brltty-udev.service brltty.service",
    )  # fmt: skip


def modem_manager(system: System, target: Target) -> Iterator[Finding]:
    """It sends AT commands to ports that are new; our udev rule tells it not to."""
    if target.device is None or system.running("ModemManager") is None:
        return
    for folder in ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d", "/run/udev/rules.d"):
        for rules in system.path(folder).glob("*jepa-bridge*.rules"):
            if "ID_MM_DEVICE_IGNORE" in (system.read(f"{folder}/{rules.name}") or ""):
                return
    yield Finding(
        "modem-manager", Level.WARNING, f"ModemManager runs and may write to {target.device} when it is plugged in",
        "sudo jepa-bridge service install --only rules --no-start",
    )  # fmt: skip


def latency(system: System, target: Target) -> Iterator[Finding]:
    """An FTDI chip collects bytes before it passes them on."""
    if target.device is None:
        return
    name = f"/sys/bus/usb-serial/devices/{Path(target.device).resolve().name}/latency_timer"
    value = system.read(name)
    if value is None or not value.isdecimal() or int(value) <= LATENCY_MAX_MS:
        return
    file = system.path(name)
    yield Finding(
        "ftdi-latency", Level.WARNING, f"{target.device} collects bytes for {value} ms before it passes them on",
        f"echo 1 | sudo tee {name}", fix=lambda: file.write_text("1\n"),
    )  # fmt: skip
