"""`jepa-bridge ports`: what is there, who holds it, which is a robot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from jepa_bridge.errors import Exit

if TYPE_CHECKING:
    from jepa_bridge.link.discovery import Heard


@click.command("ports")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option("--baud", type=int, default=115200, show_default=True, help="Line speed of a UART port.")
@click.option(
    "--seconds", type=click.FloatRange(0.0, 60.0), default=1.5, show_default=True, help="How long to listen for HELLO."
)
def command(as_json: bool, baud: int, seconds: float) -> int:
    """List the ports, who holds them, and which is a robot.

    Listens only. A port with another kind of adapter, or that a program holds, is not opened.

    \b
    jepa-bridge ports
    jepa-bridge ports --json | jq '.[] | select(.robot)'
    """
    from serial.tools import list_ports

    from jepa_bridge.link.discovery import Discovery
    from jepa_bridge.link.transport import port_holders

    discovery = Discovery(baud)
    try:
        heard = {one.device: described(one) for one in discovery.survey(seconds)}
    finally:
        discovery.close()
    found = []
    for port in sorted(list_ports.comports(), key=lambda port: str(port.device)):
        usb = None if port.vid is None else f"{port.vid:04x}:{port.pid:04x}"
        one = {"port": port.device, "usb": usb, "adapter": port.product or port.description, "candidate": False}
        found.append({**one, "holders": port_holders(port.device), "robot": None, **heard.get(port.device, {})})
    if as_json:
        click.echo(json.dumps(found))
        return Exit.OK
    for row in found:
        click.echo(f"{row['port']:16} {row['usb'] or '-':9}  {row['adapter'] or '-':28}  {_said(row)}")
    if not found:
        click.echo("no serial ports; is the robot plugged in, by a cable that carries data?")
    if not any(row["robot"] for row in found):
        click.echo("no robot was heard. Look for the reason with: jepa-bridge doctor", err=True)
    return Exit.OK


def described(heard: Heard) -> dict[str, Any]:
    """What listening told of one port."""
    from jepa_bridge.link.compatibility import incompatibility
    from jepa_bridge.setup.memory import remembered

    error = heard.error
    robot: dict[str, Any] | None = None
    if (hello := heard.hello) is not None:
        error, last = incompatibility(hello), remembered()
        robot = {
            "uid": hello.uid.hex(),
            "board": hello.board,
            "firmware_version": hello.firmware_version,
            "protocol_version": hello.protocol_version,
            "schema_hash": hello.schema_hash.hex(),
            "driven_last": last is not None and last.uid == hello.uid.hex(),
        }
    told = None if error is None else {"code": error.code, "message": error.message, "hint": error.hint}
    return {"candidate": True, "robot": robot, "error": told}


def _said(row: dict[str, Any]) -> str:
    robot, error = row["robot"], row.get("error")
    if robot is not None:
        last = ", driven last" if robot["driven_last"] else ""
        wrong = f"  [{error['code']}] {error['hint']}" if error else ""
        return f"robot {robot['uid']} ({robot['board']}, firmware {robot['firmware_version']}{last}){wrong}"
    if row["holders"]:
        return f"held by {', '.join(row['holders'])}"
    if error is not None:
        return f"[{error['code']}] {error['message']}"
    return "silent: no robot said HELLO" if row["candidate"] else "not an adapter that robots have; not opened"
