"""`jepa-bridge eval`: how well a model reaches goals, beside floors and ceiling."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from jepa_bridge.learn.evaluate import Report


@click.command("eval")
@click.option("--model", default="small", show_default=True, metavar="NAME|DIR")
@click.option("--arena", default="open", show_default=True, help="open, cluttered or doorway.")
@click.option("--episodes", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Picks the held-out episodes.")
@click.option(
    "--dynamics",
    type=click.FloatRange(0.0, 0.9),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Robots that are off the twin by SHARE: one wheel weaker, more lag, less grip, biased ranges.",
)
@click.option("--across", is_flag=True, help="Goals in the other room only.")
@click.option("--arena-seed", type=click.IntRange(min=0), help="One map for all episodes.  [default: a new one each]")
@click.option("--known-map", is_flag=True, help="The model may have been trained in the map of --arena-seed.")
@click.option("--only", "planners", multiple=True, metavar="ROW", help="A row of the table; repeat.  [default: all]")
@click.option("--sampling", type=click.Choice(["contract", "fast"]), default="contract", show_default=True)
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: all cores]")
@click.option("--keep", is_flag=True, help="Keep the table in the bundle's card and on its page.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    *,
    model: str,
    arena: str,
    episodes: int,
    seed: int,
    dynamics: float,
    across: bool,
    arena_seed: int | None,
    known_map: bool,
    planners: tuple[str, ...],
    sampling: str,
    workers: int | None,
    keep: bool,
    as_json: bool,
) -> None:
    """Drive held-out episodes in the twin's physics and report the share of goals reached, with its 95 % interval.

    Reached: the robot stands within 0.25 m of the goal after at most 100 steps of 0.2 s.

    \b
    jepa-bridge eval --model models/mine --arena cluttered --episodes 500
    jepa-bridge eval --model small-doorway --arena doorway --arena-seed 7 --known-map --across
    """
    from jepa_bridge.cli.extras import needs

    with needs("sim"):
        import mujoco  # noqa: F401 - missing, it is told here once and not by each worker

        from jepa_bridge.cli.progress import progress
        from jepa_bridge.learn.evaluate import PLANNERS, evaluate
        from jepa_bridge.plan.mppi import SAMPLING
        from jepa_bridge.world.bundle import load_named, resolve

        if unknown := set(planners) - set(PLANNERS):
            raise click.UsageError(f"--only: expected {', '.join(PLANNERS)}, got {', '.join(sorted(unknown))}")
        if keep and sampling != "contract":
            raise click.UsageError("--keep: a bundle's card is for the contract's sampling")
        with progress("eval", quiet=as_json) as show:
            report = evaluate(
                load_named(model),
                arena,
                episodes,
                seed,
                planners=tuple(name for name in PLANNERS if not planners or name in planners),
                config=SAMPLING[sampling],
                dynamics=dynamics,
                across=across,
                arena_seed=arena_seed,
                known_map=known_map,
                workers=workers or os.cpu_count() or 1,
                progress=show,
            )
    if keep:
        with needs("train"):
            from jepa_bridge.learn.page import evaluation, keep_evaluation

            keep_evaluation(
                resolve(model), *evaluation(report, dynamics=dynamics, across=across, arena_seed=arena_seed)
            )
    if as_json:
        click.echo(json.dumps(report.to_json()))
    else:
        _print(report, model)


def _print(report: Report, model: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{model} in {report.arena}: {report.episodes} held-out episodes, seed {report.seed}")
    table.add_column("planner", no_wrap=True)
    for heading in ("reached %", "95 %", "contacts", "path", "jerk", "doubted %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(
            row.planner,
            f"{100 * row.reached:.1f}",
            f"{100 * row.reached_low:.1f}-{100 * row.reached_high:.1f}",
            f"{row.contacts_per_episode:.2f}",
            "-" if row.path_ratio is None else f"{row.path_ratio:.2f}",
            f"{row.jerk:.3f}",
            "-" if row.doubted is None else f"{100 * row.doubted:.1f}",
        )
    Console().print(table)
