"""Runs the checks in the order in which a person would look, and what of their findings can be mended."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from jepa_bridge.setup.doctor import host, port, robot
from jepa_bridge.setup.doctor.finding import Finding, Level, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jepa_bridge.setup.doctor.system import System

    Check = Callable[[System, Target], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    port.present, port.brltty, port.permission, port.holder, port.modem_manager, port.latency, robot.robot,
    host.inference, host.disk, host.power, host.extras,
)  # fmt: skip


def examine(system: System, target: Target, checks: Iterable[Check] = CHECKS) -> Iterator[Finding]:
    """All findings, as they come. Without a port, the only candidate is looked at."""
    if target.port is None and len(there := port.candidates(system)) == 1:
        target = dataclasses.replace(target, port=there[0].device)
    for check in checks:
        try:
            yield from check(system, target)
        except Exception as error:  # one check that fails must not hide what the others find
            name = getattr(check, "__name__", "check")
            yield Finding(
                "check-failed", Level.NOTE, f"the check {name} failed: {type(error).__name__}: {error}",
                "please report this",
            )  # fmt: skip


def mend(finding: Finding) -> tuple[bool, str]:
    """Do what is safe about it: whether it is mended, and what to tell. Nothing is ever run with more rights."""
    if finding.fix is None:
        return False, "left to you"
    try:
        finding.fix()
    except OSError as error:
        return False, f"could not be mended by this user: {error.strerror}"
    return True, "mended"
