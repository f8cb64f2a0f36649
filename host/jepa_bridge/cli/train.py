"""`jepa-bridge train`: a world model from collected data and recordings."""

from __future__ import annotations

import dataclasses
import json

import click


@click.command("train")
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--out", "out_dir", type=click.Path(file_okay=False), required=True, help="Folder of this training run.")
@click.option("--tier", type=click.Choice(["tiny", "small", "medium"]), default="small", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), help="Training steps.  [default: the recipe's]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    *, data: tuple[str, ...], out_dir: str, tier: str, steps: int | None, seed: int, threads: int, as_json: bool
) -> None:
    """Train on DATA: shards (.npz), recordings (.mcap), or folders of either.

    An interrupted run saves where it is; the same command goes on from there.

    \b
    jepa-bridge train data/open data/cluttered logs --tier small --out runs/small
    """
    from pathlib import Path

    from jepa_bridge.cli.extras import needs

    with needs("train"):
        from jepa_bridge.cli.progress import progress
        from jepa_bridge.cli.training_data import shards_of
        from jepa_bridge.learn.train import TrainConfig, train

        out = Path(out_dir)
        shards = shards_of([Path(item) for item in data], out / "from-logs")
        config = TrainConfig(tier=tier, seed=seed)
        if steps is not None:
            config = dataclasses.replace(config, steps=steps)
        with progress("train", quiet=as_json) as show:
            checkpoint = train(shards, out, config, progress=show, threads=threads)
    if as_json:
        click.echo(json.dumps({"checkpoint": str(checkpoint), "shards": len(shards), "tier": tier, "seed": seed}))
    else:
        click.echo(f"trained on {len(shards)} shards: {checkpoint}")
        click.echo(f"next: jepa-bridge export {out_dir} --out models/mine")
