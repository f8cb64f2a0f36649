"""Where each option of driving has its value from: a flag, the environment, the settings file, or its default."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.setup.config import config_path, read_config, wrong_value
from jepa_bridge.types import Goal

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = "jepa_bridge.config_error"  # in the context's meta: told by who needs the settings, not by `--help`
NOT_SETTINGS = {"config", "version", "help"}
SOURCES = {"COMMANDLINE": "flag", "ENVIRONMENT": "environment", "DEFAULT_MAP": "file"}


def option_name(parameter: click.Parameter) -> str:
    """`--time-limit` -> `time-limit`."""
    return next(name.removeprefix("--") for name in parameter.opts if name.startswith("--"))


def settings(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """The options that the file may set, by name."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and option_name(parameter) not in NOT_SETTINGS:
            yield option_name(parameter), parameter


def use_config(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Eager callback of `--config`: the file's values become defaults. An error waits until someone drives."""
    path = Path(value) if value else config_path()
    try:
        if path.is_file():
            ctx.default_map = load(ctx, path)
        elif value:
            raise BridgeError(
                "config-unreadable", f"there is no settings file {path}",
                f"jepa-bridge --config {path} config init writes one", status=Exit.USAGE,
            )  # fmt: skip
    except BridgeError as error:
        ctx.meta[ERROR] = error
    return str(path)


def load(ctx: click.Context, path: Path) -> dict[str, Any]:
    """The file's values by parameter, each one that its option takes. Raises BridgeError `config-...`."""
    options = dict(settings(ctx.command))
    loaded: dict[str, Any] = {}
    for name, value in read_config(path, options).items():
        option = options[name]
        if isinstance(value, bool) != bool(option.is_flag):
            raise wrong_value(path, name, "expected true or false" if option.is_flag else f"got {value!r}")
        given = _as_written(value, several=option.multiple)
        try:
            option.type_cast_value(ctx, given)
        except (click.BadParameter, TypeError, ValueError) as error:
            raise wrong_value(path, name, getattr(error, "message", None) or str(error)) from error
        loaded[str(option.name)] = given
    return loaded


def effective(ctx: click.Context) -> dict[str, dict[str, Any]]:
    """Each option's value and where it is from, for people and for the log."""
    found = {}
    for name, option in settings(ctx.command):
        source = ctx.get_parameter_source(str(option.name))
        value = _shown(ctx.params.get(str(option.name)))
        found[name] = {"value": value, "from": SOURCES.get(source.name if source else "", "default")}
    return found


def _as_written(value: Any, *, several: bool) -> Any:
    """[4, 4] as `4,4`; for an option that may be repeated a list of such."""
    if not isinstance(value, list):
        return [str(value)] if several else value
    if several and all(isinstance(item, list | str) for item in value):
        return [_as_written(item, several=False) for item in value]
    flat = ",".join(str(item) for item in value)
    return [flat] if several else flat


def _shown(value: Any) -> Any:
    if isinstance(value, Goal):
        heading = "" if value.heading_rad is None else f",{math.degrees(value.heading_rad):g}"
        return f"{value.x_m:g},{value.y_m:g}{heading}"
    if isinstance(value, tuple) and len(value) == 3 and all(isinstance(item, float) for item in value):
        return f"{value[0]:g},{value[1]:g},{math.degrees(value[2]):g}"
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    return value
