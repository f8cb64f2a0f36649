"""`jepa-bridge export`: a training run becomes a model bundle."""

from __future__ import annotations

import dataclasses
import json

import click


@click.command("export")
@click.argument("run", type=click.Path(exists=True))
@click.option("--out", "out_dir", type=click.Path(file_okay=False), required=True, help="The bundle's folder.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "int8"]),
    default="fp32",
    show_default=True,
    help="Of the planner's graphs; int8 drives differently: eval it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the bundle's card as JSON.")
def command(*, run: str, out_dir: str, precision: str, as_json: bool) -> None:
    """Export RUN, the folder or checkpoint of a training run, to ONNX, and prove that it rolls out as torch does.

    \b
    jepa-bridge export runs/small --out models/mine
    jepa-bridge --port sim://open --model models/mine --goal 4,4 --once
    """
    from pathlib import Path

    from jepa_bridge.cli.extras import needs

    with needs("train"):
        from jepa_bridge.learn.export import export
        from jepa_bridge.learn.train import CHECKPOINT

        path = Path(run)
        card = export(path / CHECKPOINT if path.is_dir() else path, Path(out_dir), precision=precision)
    click.echo(
        json.dumps(dataclasses.asdict(card)) if as_json else f"{card.tier} bundle in {out_dir}, hash {card.hash}"
    )
