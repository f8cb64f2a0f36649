"""`jepa-bridge collect`: let the twin explore and store what it lives through."""

from __future__ import annotations

import json

import click


@click.command("collect")
@click.option("--arena", default="open", show_default=True, help="open, cluttered or doorway.")
@click.option("--episodes", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--steps", type=click.IntRange(min=10), default=100, show_default=True, help="Steps of 0.2 s an episode.")
@click.option("--out", "out_dir", type=click.Path(file_okay=False), required=True, help="Folder for the shards.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--randomised",
    type=click.FloatRange(0.0, 1.0),
    default=0.5,
    show_default=True,
    help="Share of episodes with a robot that is not quite the twin.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: all cores]")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(
    *,
    arena: str,
    episodes: int,
    steps: int,
    out_dir: str,
    seed: int,
    randomised: float,
    workers: int | None,
    as_json: bool,
) -> None:
    """Explore ARENA in the twin's physics, without the firmware, on all cores.

    The same seed gives the same shards. An interrupted run goes on where it was.

    \b
    jepa-bridge collect --arena open --episodes 2000 --out data/open
    """
    import os
    from pathlib import Path

    from jepa_bridge.cli.extras import needs

    with needs("sim"):
        import mujoco  # noqa: F401 - missing, it is told here once and not by each worker

        from jepa_bridge.cli.progress import progress
        from jepa_bridge.learn.collect import collect

        with progress("collect", quiet=as_json) as show:
            shards = collect(
                arena,
                episodes,
                Path(out_dir),
                seed,
                workers or os.cpu_count() or 1,
                steps=steps,
                randomised=randomised,
                progress=show,
            )
    if as_json:
        click.echo(json.dumps({"shards": [str(shard) for shard in shards], "episodes": episodes, "steps": steps}))
    else:
        click.echo(f"{episodes} episodes of {steps} steps in {len(shards)} shards under {out_dir}")
