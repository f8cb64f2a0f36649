"""`jepa-bridge twin`: the simulated robot as a device that other programs open."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("twin")
@click.argument("twin", default="open", metavar="ARENA[?KEY=VALUE&...]")
@click.option("--link", type=click.Path(), help="Make a symbolic link to the port.")
def command(*, twin: str, link: str | None) -> None:
    """Run the twin until Ctrl-C, and print the port it is on as one line of JSON.

    It goes on when the program that drives it dies, as a robot does.

    \b
    jepa-bridge twin 'cluttered?seed=3' --link /tmp/robot
    jepa-bridge --port /tmp/robot --goal 4,4 --once
    """
    from jepa_bridge.cli.extras import needs
    from jepa_bridge.twin.settings import parse_settings

    settings = parse_settings(twin)
    with needs("sim"):
        from jepa_bridge.twin.process import serve

        serve(settings, link=None if link is None else Path(link), stay=True)
