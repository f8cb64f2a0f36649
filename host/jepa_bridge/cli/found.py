"""The port to drive on: the one that was given, or the one where a robot says HELLO."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link import Discovery, Transport, open_transport
from jepa_bridge.setup.memory import Remembered, remember, remembered
from jepa_bridge.setup.notify import Notifier, journaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jepa_bridge.link.schema import Hello


@contextmanager
def found(options: dict[str, Any]) -> Iterator[tuple[Transport, bytes | None, Notifier]]:
    """The open port, the robot's uid where it was heard, and who tells systemd of the run."""
    notifier = Notifier()
    if options["port"] is not None:
        transport, uid = open_transport(options["port"], options["baud"]), None
    else:
        transport, uid = _wait(options, notifier)
    try:
        yield transport, uid, notifier
    finally:
        transport.close()


def _wait(options: dict[str, Any], notifier: Notifier) -> tuple[Transport, bytes]:
    prefix = "<5>" if journaled() else ""

    def say(text: str) -> None:
        click.echo(prefix + text, err=True)

    last = remembered()
    which = f"robot {options['robot']}" if options["robot"] else "a robot"
    known = f" (the last one: {last.uid}, {last.board}, on {last.port})" if last else ""
    say(f"waiting for {which}{known}; nothing is sent to any port. Ctrl-C ends it, --help helps")
    notifier.status(f"waits for {which}")
    wait_s = options["wait"]
    end_s = float("inf") if wait_s is None else time.monotonic() + wait_s
    discovery = Discovery(options["baud"], say=say)
    try:
        chosen = discovery.wait(options["robot"], lambda: time.monotonic() > end_s, notifier.beat)
    except BridgeError as error:
        if error.code == "several-robots" and last is not None:
            error.hint += f"; the last one was --robot {last.uid}"
        raise
    if chosen is None:
        raise BridgeError(
            "no-robot",
            f"{which} did not come within {wait_s:g} s",
            "jepa-bridge ports lists what is there, jepa-bridge doctor looks for the reason",
            status=Exit.NO_HELLO,
        )
    uid = chosen.hello.uid.hex()
    say(f"found robot {uid} ({chosen.hello.board}, firmware {chosen.hello.firmware_version}) on {chosen.device}")
    if last is not None and last.uid != uid:
        say(f"another one than last time, which was {last.uid}")
    if not driven(chosen.hello, chosen.device):
        say("its uid could not be remembered: the folder for settings cannot be written")
    return chosen.transport, chosen.hello.uid


def driven(hello: Hello | None, device: str) -> bool:
    """Remember that robot, unless it is a twin or behind a network; False if that could not be written."""
    return hello is None or "://" in device or remember(Remembered(hello.uid.hex(), hello.board, device))
