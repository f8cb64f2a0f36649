"""`jepa-bridge service install|status|remove`: the bridge starts when the robot is plugged in."""

from __future__ import annotations

import getpass
import json
import os

import click

from jepa_bridge.errors import BridgeError, Exit


@click.group("service")
def command() -> None:
    """Start by itself when the robot is plugged in, and stop when it is unplugged (systemd and udev).

    \b
    sudo jepa-bridge service install                      look only, log everything
    sudo jepa-bridge service install -- --goal 4,4        plugging in makes it drive
    jepa-bridge service install --user                    for yourself; the udev rules still need root
    jepa-bridge service install --dry-run                 print the files, write nothing
    jepa-bridge service status
    sudo jepa-bridge service remove

    Its messages: journalctl -u 'jepa-bridge@*' (with --user: journalctl --user -u 'jepa-bridge@*').
    """


@command.command("install")
@click.option("--user/--system", "for_user", help="For your own systemd, or for the machine's.  [default: --system]")
@click.option("--run-as", metavar="USER", help="Of a system service.  [default: who runs sudo]")
@click.option("--only", type=click.Choice(["unit", "rules"]), help="Write just this file.")
@click.option("--start/--no-start", default=True, help="Whether plugging in starts the bridge.  [default: --start]")
@click.option("--dry-run", is_flag=True, help="Print the files and where they would go; write nothing.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def install(
    for_user: bool, run_as: str | None, only: str | None, start: bool, dry_run: bool, options: tuple[str, ...]
) -> None:
    """Write the unit and the udev rules. OPTIONS, after --, are those of driving; --port is the port plugged in."""
    from jepa_bridge.setup import service as setup
    from jepa_bridge.setup.units import Service

    for option in ("--port", "--robot", "--wait"):
        if any(given == option or given.startswith(option + "=") for given in options):
            raise click.UsageError(f"{option} is not for a service: it is given the port that was plugged in")
    explicit = click.get_current_context().find_root().get_parameter_source("config")
    config = str(click.get_current_context().find_root().params["config"])
    wanted = Service(
        setup.this_program(), options, for_user,
        run_as or os.environ.get("SUDO_USER") or getpass.getuser(), setup.serial_group(),
        os.path.abspath(config) if explicit is click.core.ParameterSource.COMMANDLINE else "",  # noqa: PTH100 - may not exist
    )  # fmt: skip
    place = setup.Place()
    if dry_run:
        for path, text in setup.files(wanted, place, only=only, start=start).items():
            click.echo(f"# {path}\n{text}")
        return
    left = setup.install(wanted, place, only=only, start=start)
    for path in setup.files(wanted, place, only=only, start=start):
        if path.is_file():
            click.echo(f"wrote {path}")
    if "--goal" in options and start:
        click.echo("plugging the robot in will make it drive; so does a USB port that loses power for a moment")
    for step in left:
        click.echo(f"left to you: {step}")


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def status(as_json: bool) -> None:
    """Say what is installed and which bridges run."""
    from jepa_bridge.setup import service as setup

    found = setup.status(setup.Place())
    if as_json:
        click.echo(json.dumps(found))
        return
    for name in ("rules", "system_unit", "user_unit"):
        click.echo(f"{name.replace('_', ' '):12} {found[name] or 'not installed'}")
    running = found["running"]
    assert isinstance(running, dict)
    for manager, units in running.items():
        if units is None:
            click.echo(f"{manager:12} systemd does not answer")
        for words in units or ():
            click.echo(f"{manager:12} {' '.join(words)}")


@command.command("remove")
@click.option("--user/--system", "for_user", help="Your own, or the machine's.  [default: --system]")
def remove(for_user: bool) -> None:
    """Stop the bridges and take unit and rules away."""
    from jepa_bridge.setup import service as setup

    gone, left = setup.remove(setup.Place(), for_user=for_user)
    if not gone and not left:
        raise BridgeError(
            "service-absent", "no service of this kind is installed", "jepa-bridge service status", status=Exit.USAGE
        )
    for path in gone:
        click.echo(f"removed {path}")
    for step in left:
        click.echo(f"left to you: {step}")
