"""`jepa-bridge config show|path|init`: the settings file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from jepa_bridge.cli.settings import ERROR, effective, settings
from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.setup.config import environment_name

HEAD = """\
# Settings of jepa-bridge: any option of driving by its long name. A flag goes before an environment variable
# (beside each below), that before this file. What is commented out has its default.
"""


@click.group("config")
def command() -> None:
    """The settings file: every option of driving, by its long name.

    \b
    jepa-bridge config init     write one with all that can be set, commented out
    jepa-bridge config show     what holds now, and where it is from
    jepa-bridge config path     where it is
    """


def _driving() -> click.Context:
    return click.get_current_context().find_root()


def _path() -> Path:
    return Path(_driving().params["config"])


@command.command("path")
def path() -> None:
    """Say where the settings file is, or would be."""
    click.echo(str(_path()))


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def show(as_json: bool) -> None:
    """Say what holds without further flags, and where each value is from."""
    ctx = _driving()
    if ERROR in ctx.meta:
        raise ctx.meta[ERROR]
    found = effective(ctx)
    if as_json:
        click.echo(json.dumps({"path": str(_path()), "settings": found}))
        return
    click.echo(f"{_path()}" + ("" if _path().is_file() else "   (not written yet: jepa-bridge config init)"))
    width = max(map(len, found))
    for name, one in found.items():
        source = environment_name(name) if one["from"] == "environment" else one["from"]
        click.echo(f"{name:{width}}  {json.dumps(one['value']):24}  {source}")


@command.command("init")
@click.option("--force", is_flag=True, help="Also over a file that is there.")
def init(force: bool) -> None:
    """Write a settings file in which everything is commented out."""
    target = _path()
    if target.exists() and not force:
        raise BridgeError(
            "config-exists", f"{target} is there already", "edit it, or begin anew with --force", status=Exit.USAGE
        )
    ctx = _driving()
    lines = [HEAD]
    for name, option in settings(ctx.command):
        # TOML writes texts, numbers and truth as JSON does
        default = option.get_default(ctx, call=True) if ctx.default_map is None else option.default
        known = isinstance(default, str | int | float)
        lines.append(f"# {option.help}   {environment_name(name)}")
        lines.append(f"#{name} = {json.dumps(default) if known else EXAMPLES.get(name, json.dumps(''))}\n")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines))
    except OSError as error:
        raise BridgeError(
            "config-unwritable", f"{target} cannot be written: {error.strerror}",
            "choose another place: JEPA_BRIDGE_CONFIG=FILE", status=Exit.USAGE,
        ) from error  # fmt: skip
    click.echo(str(target))


EXAMPLES = {
    "goal": '["4,4", "1,1,90"]',
    "start": '"1,1,0"',
    "time-limit": "90.0",
    "wait": "30.0",
    "threads": "2",
    "cost": '"clearance"',
    "port": '"/dev/ttyUSB0"',
    "robot": '"a1b2c3d4e5f6"',
    "next-model": '"models/mine"',
}
