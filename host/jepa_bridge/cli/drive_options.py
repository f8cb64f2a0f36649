"""The options of driving, apart from the code that drives, so that `--help` imports nothing heavy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jepa_bridge.cli.settings import use_config
from jepa_bridge.setup.config import environment_name
from jepa_bridge.types import Goal

if TYPE_CHECKING:
    from collections.abc import Callable

COSTS = ("default", "clearance", "waytogo", "embedding")  # of plan/costs.py, which --help need not import

F = TypeVar("F", bound="Callable[..., Any]")


class GoalType(click.ParamType[Goal]):
    """`X,Y` or `X,Y,HEADING`: metres, metres, degrees counter-clockwise from +x."""

    name = "X,Y[,HEADING]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Goal:
        """Raises click's usage error for anything but two or three finite numbers."""
        if isinstance(value, Goal):
            return value
        try:
            numbers = [float(part) for part in str(value).split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (2, 3) or not all(map(math.isfinite, numbers)):
            self.fail(f"expected X,Y or X,Y,HEADING in metres and degrees, e.g. 4,4 or 4,4,90, got {value!r}")
        heading_rad = math.radians(numbers[2]) if len(numbers) == 3 else None
        return Goal(numbers[0], numbers[1], heading_rad)


class PoseType(click.ParamType[tuple[float, float, float]]):
    """`X,Y,HEADING`: metres, metres, degrees counter-clockwise from +x."""

    name = "X,Y,HEADING"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        """Metres, metres, radians in (-pi, pi]."""
        if isinstance(value, tuple):
            return value
        goal = GoalType().convert(value, param, ctx)
        if goal.heading_rad is None:
            self.fail(f"expected X,Y,HEADING in metres and degrees, e.g. 1,1,0, got {value!r}")
        return goal.x_m, goal.y_m, math.atan2(math.sin(goal.heading_rad), math.cos(goal.heading_rad))


def _option(*names: str, **how: Any) -> Callable[[F], F]:
    """An option that its environment variable and the settings file may set, too."""
    return click.option(*names, envvar=environment_name(names[0].removeprefix("--")), **how)


def drive_options(function: F) -> F:
    """All options of `jepa-bridge --port ...`."""
    for option in reversed(
        (
            click.option(
                "--config",
                metavar="FILE",
                is_eager=True,
                callback=use_config,
                envvar="JEPA_BRIDGE_CONFIG",
                help="The settings file.  [default: see jepa-bridge config path]",
            ),
            _option(
                "--port",
                metavar="PORT",
                help="A device (/dev/ttyUSB0), sim://ARENA?seed=N&speed=F, socket://..., or chaos://FAULTS@PORT.  "
                "[default: wait for a robot on USB]",
            ),
            _option("--robot", metavar="UID", help="Wait for this robot, of several; see jepa-bridge ports."),
            _option(
                "--wait",
                type=click.FloatRange(min=0.0),
                help="Seconds to wait for a robot where no port is given.  [default: until there is one]",
            ),
            _option("--baud", type=int, default=115200, show_default=True, help="Line speed of a UART port."),
            _option(
                "--goal", "goals", type=GoalType(), multiple=True, help="Where to go; repeat for several, in order."
            ),
            _option("--start", type=PoseType(), help="Where the robot stands, if it does not know."),
            _option(
                "--radius",
                type=click.FloatRange(0.02, 2.0),
                default=0.25,
                show_default=True,
                help="Metres: reached within.",
            ),
            _option("--once", is_flag=True, help="End when the last goal is reached; exit status 0 says it was."),
            _option(
                "--time-limit",
                type=click.FloatRange(min=1.0),
                help="Seconds until --once gives up.  [default: 90 a goal]",
            ),
            _option(
                "--model", default="small", show_default=True, metavar="NAME|DIR", help="A shipped or trained bundle."
            ),
            _option("--next-model", metavar="NAME|DIR", help="Takes over on SIGUSR1.  [default: --model, read again]"),
            _option("--cost", type=click.Choice(COSTS), help="What it minimises.  [default: the bundle's best]"),
            _option(
                "--sampling",
                type=click.Choice(["contract", "fast"]),
                default="contract",
                show_default=True,
                help="How much a plan tries: 64 x 5 or 96 x 1 samples.",
            ),
            _option("--seed", type=int, default=0, show_default=True, help="Of the planner's sampling."),
            _option(
                "--reconnect",
                type=click.FloatRange(min=0.0),
                default=60.0,
                show_default=True,
                help="Seconds to look for a robot that went away; 0 ends the run at once.",
            ),
            _option("--rearm", is_flag=True, help="Drive on by itself when it is back, without a person's word."),
            _option(
                "--threads",
                type=click.IntRange(min=1),
                help="That share one plan.  [default: measured at the start]",
            ),
            _option(
                "--log",
                "log_dir",
                type=click.Path(file_okay=False),
                default="logs",
                show_default=True,
                help="Where recordings go.",
            ),
            _option("--no-log", is_flag=True, help="Record nothing."),
            _option("--json", "as_json", is_flag=True, help="Print the summary as JSON, and no status."),
            _option("--quiet", is_flag=True, help="No live status."),
        )
    ):
        function = option(function)
    return function
