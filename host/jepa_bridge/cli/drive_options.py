"""The options of driving, apart from the code that drives, so that `--help` imports nothing heavy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jepa_bridge.types import Goal

if TYPE_CHECKING:
    from collections.abc import Callable

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


def drive_options(function: F) -> F:
    """All options of `jepa-bridge --port ...`."""
    for option in reversed(
        (
            click.option(
                "--port",
                metavar="PORT",
                help="A device (/dev/ttyUSB0), sim://ARENA?seed=N&speed=F, socket://..., or chaos://FAULTS@PORT",
            ),
            click.option("--baud", type=int, default=115200, show_default=True, help="Line speed of a UART port."),
            click.option(
                "--goal", "goals", type=GoalType(), multiple=True, help="Where to go; repeat for several, in order."
            ),
            click.option("--start", type=PoseType(), help="Where the robot stands, if it does not know."),
            click.option(
                "--radius",
                type=click.FloatRange(0.02, 2.0),
                default=0.25,
                show_default=True,
                help="Metres: reached within.",
            ),
            click.option("--once", is_flag=True, help="End when the last goal is reached; exit status 0 says it was."),
            click.option(
                "--time-limit",
                type=click.FloatRange(min=1.0),
                help="Seconds until --once gives up.  [default: 90 a goal]",
            ),
            click.option(
                "--model", default="small", show_default=True, metavar="NAME|DIR", help="A shipped or trained bundle."
            ),
            click.option(
                "--next-model", metavar="NAME|DIR", help="Takes over on SIGUSR1.  [default: --model, read again]"
            ),
            click.option("--cost", type=click.Choice(["clearance", "embedding"]), help="What the planner minimises."),
            click.option(
                "--sampling",
                type=click.Choice(["contract", "fast"]),
                default="contract",
                show_default=True,
                help="How much a plan tries: 64 x 5 or 32 x 3 samples.",
            ),
            click.option("--seed", type=int, default=0, show_default=True, help="Of the planner's sampling."),
            click.option(
                "--reconnect",
                type=click.FloatRange(min=0.0),
                default=60.0,
                show_default=True,
                help="Seconds to look for a robot that went away; 0 ends the run at once.",
            ),
            click.option("--rearm", is_flag=True, help="Drive on by itself when it is back, without a person's word."),
            click.option(
                "--threads",
                type=click.IntRange(min=1),
                help="That share one plan.  [default: measured at the start]",
            ),
            click.option(
                "--log",
                "log_dir",
                type=click.Path(file_okay=False),
                default="logs",
                show_default=True,
                help="Where recordings go.",
            ),
            click.option("--no-log", is_flag=True, help="Record nothing."),
            click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, and no status."),
            click.option("--quiet", is_flag=True, help="No live status."),
        )
    ):
        function = option(function)
    return function
