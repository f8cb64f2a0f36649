"""`jepa-bridge evaluate`: how well a model reaches goals, beside its floors."""

from __future__ import annotations

import json
import os

import click


@click.command("evaluate")
@click.option("--model", default="small", show_default=True, metavar="NAME|DIR")
@click.option("--arena", default="open", show_default=True, help="open, cluttered or doorway.")
@click.option("--episodes", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Held-out episodes are drawn from it.")
@click.option("--cost", "costs", type=click.Choice(["clearance", "embedding"]), multiple=True, help="Repeat for both.")
@click.option("--floors/--no-floors", default=True, show_default=True, help="Also plain controllers.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: all cores]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    *,
    model: str,
    arena: str,
    episodes: int,
    seed: int,
    costs: tuple[str, ...],
    floors: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Drive held-out episodes in the twin's physics and report the share of goals reached, with its 95 % interval.

    \b
    jepa-bridge evaluate --model models/mine --arena cluttered --episodes 500 --cost clearance --cost embedding
    """
    from jepa_bridge.cli.extras import needs

    with needs("sim"):
        from jepa_bridge.cli.progress import progress
        from jepa_bridge.learn.evaluate import FLOORS, evaluate
        from jepa_bridge.world.bundle import load_named

        with progress("evaluate", quiet=as_json) as show:
            report = evaluate(
                load_named(model),
                arena,
                episodes,
                seed,
                costs=costs or ("clearance",),
                floors=FLOORS if floors else (),
                workers=workers or os.cpu_count() or 1,
                progress=show,
            )
    if as_json:
        click.echo(json.dumps(report.to_json()))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{model} in {arena}: {episodes} held-out episodes, seed {seed}")
    for heading in ("planner", "reached", "95 % interval", "contacts", "path ratio", "plan ms"):
        table.add_column(heading, justify="left" if heading == "planner" else "right")
    for row in report.rows:
        table.add_row(
            row.planner,
            f"{100 * row.reached:.1f} %",
            f"{100 * row.reached_low:.1f} - {100 * row.reached_high:.1f} %",
            f"{row.contacts_per_episode:.2f}",
            "-" if row.path_ratio is None else f"{row.path_ratio:.2f}",
            f"{row.plan_ms:.1f}",
        )
    Console().print(table)
