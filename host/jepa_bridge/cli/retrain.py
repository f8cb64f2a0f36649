"""`jepa-bridge retrain`: a bundle that knows its robot, or its place, better than its base."""

from __future__ import annotations

import json
import sys

import click


@click.command("retrain")
@click.argument("data", nargs=-1, type=click.Path(exists=True))
@click.option("--base", default="small", show_default=True, metavar="NAME|DIR", help="Bundle to start from.")
@click.option("--out", "out_dir", type=click.Path(file_okay=False), required=True, help="Folder of the new bundle.")
@click.option(
    "--work", type=click.Path(file_okay=False), help="What an interrupted run goes on from.  [default: OUT.work]"
)
@click.option("--steps", type=click.IntRange(min=1), default=2500, show_default=True, help="Training steps.")
@click.option("--place", is_flag=True, help="All DATA are of one place: learn the way to go there.")
@click.option("--live", metavar="ARENA", help="Drive --base in the twin's ARENA first, as more DATA.")
@click.option("--live-episodes", type=click.IntRange(min=1), default=400, show_default=True)
@click.option("--map-seed", type=click.IntRange(min=0), help="One map for --live and for comparing.  [default: many]")
@click.option(
    "--mix", multiple=True, type=click.Path(exists=True), help="Shards like the base's; else they are driven."
)
@click.option("--mix-episodes", type=click.IntRange(min=4), default=300, show_default=True)
@click.option("--arena", help="Where new and base are compared.  [default: that of --live, else cluttered]")
@click.option("--across", is_flag=True, help="Compare on goals in the other room only.")
@click.option("--episodes", type=click.IntRange(min=1), default=100, show_default=True, help="To compare on.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that drive.")
@click.option("--force", is_flag=True, help="Take the new bundle even if it is worse than its base.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def command(
    *,
    data: tuple[str, ...],
    base: str,
    out_dir: str,
    work: str | None,
    steps: int,
    place: bool,
    live: str | None,
    live_episodes: int,
    map_seed: int | None,
    mix: tuple[str, ...],
    mix_episodes: int,
    arena: str | None,
    across: bool,
    episodes: int,
    seed: int,
    workers: int,
    force: bool,
    as_json: bool,
) -> None:
    """Train --base further on DATA: recordings (.mcap), shards (.npz), or folders of either.

    New and base then drive the same held-out episodes with a robot like the one of DATA. A new bundle that is worse
    stays in --work, and the exit status is 20.

    \b
    jepa-bridge retrain logs --base small --out models/mine
    jepa-bridge retrain --live doorway --map-seed 7 --place --across --out models/small-doorway
    """
    from pathlib import Path

    from jepa_bridge.cli.extras import needs

    if not data and live is None:
        raise click.UsageError("nothing to train on: give recordings or shards, or --live ARENA")
    out = Path(out_dir)
    work_dir = Path(work) if work else out.with_name(out.name + ".work")
    with needs("train"):
        from jepa_bridge.cli.progress import progress
        from jepa_bridge.cli.training_data import shards_of
        from jepa_bridge.learn.live import live as live_there
        from jepa_bridge.learn.retrain import RetrainConfig, publish, refusal, retrain
        from jepa_bridge.world.bundle import World, resolve

        bundle = resolve(base)
        own = shards_of([Path(item) for item in data], work_dir / "from-logs") if data else []
        config = RetrainConfig(
            steps=steps,
            mix_episodes=mix_episodes,
            seed=seed,
            place=place,
            arena=arena or live or "cluttered",
            map_seed=map_seed,
            across=across,
            episodes=episodes,
        )
        with progress("retrain", quiet=as_json) as show:
            if live is not None:
                lived = work_dir / "lived"
                own += live_there(
                    World.load(bundle), live, live_episodes, lived, map_seed=map_seed, seed=seed, progress=show
                )
            outcome = retrain(
                own,
                bundle,
                work_dir,
                config,
                mix=shards_of([Path(item) for item in mix], work_dir / "from-logs") if mix else None,
                commands=[_spoken(sys.argv[1:])],
                workers=workers,
                progress=show,
            )
    if outcome.worse and not force:
        raise refusal(outcome)
    publish(outcome.bundle, out)
    if as_json:
        click.echo(json.dumps({"bundle": str(out), **outcome.facts}))
    else:
        _print(outcome.facts, out_dir)


def _spoken(arguments: list[str]) -> str:
    """The command as it was given."""
    import shlex

    return shlex.join(["jepa-bridge", *arguments])


def _print(facts: dict[str, object], out_dir: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{out_dir}, and its base on the same held-out episodes and drives")
    for heading in ("", "base", "retrained"):
        table.add_column(heading)
    for name in ("closed_loop", "prediction_held_out"):
        both = facts[name]
        assert isinstance(both, dict)
        for key in both["base"]:
            table.add_row(key, str(both["base"][key]), str(both["candidate"][key]))
    Console().print(table)
