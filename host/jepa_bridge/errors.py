"""Every error that a person may see: a stable code, an exit status, what happened, what to do next."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of `jepa-bridge`. 2 is click's own (wrong usage), 130 an interrupt."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_REACHED = 10
    LINK_LOST = 11
    ROBOT_REFUSED = 12
    PORT = 13
    NO_HELLO = 14
    INCOMPATIBLE = 15
    MODEL = 16
    LOG = 17
    MISSING_EXTRA = 18
    CHECK_FAILED = 19
    MODEL_WORSE = 20
    UNHEALTHY = 21
    INTERRUPTED = 130


class BridgeError(Exception):
    """An error told to a person in one message: `code` is stable for programs, `hint` says what to do next."""

    def __init__(self, code: str, message: str, hint: str = "", *, status: Exit = Exit.UNEXPECTED) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.status = status


def missing_extra(package: str, extra: str) -> BridgeError:
    """The error for a feature whose optional packages are not installed."""
    return BridgeError(
        "missing-extra",
        f"this needs the package {package}, which is not installed",
        f"install it: pip install 'jepa-bridge[{extra}]'",
        status=Exit.MISSING_EXTRA,
    )
