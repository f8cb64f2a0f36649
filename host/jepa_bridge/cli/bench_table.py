"""What `jepa-bridge bench` prints for people."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

DRIVE_COLUMNS = {
    "seed": "seed",
    "reached": "goal",
    "first_movement_s": "moves s",
    "duration_s": "took s",
    "distance_m": "drove m",
    "contacts": "hits",
    "plan_ms": "plan ms",
    "gated": "gated",
    "replay_same": "same",
}


def show_drive(result: dict[str, Any]) -> None:
    """The table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"sim://{result['arena']} to {result['goal']} with {result['model']}, speed {result['speed']:g}"
    )
    for heading in DRIVE_COLUMNS.values():
        table.add_column(heading, justify="right")
    for trial in result["trials"]:
        table.add_row(*("-" if trial[name] is None else str(trial[name]) for name in DRIVE_COLUMNS))
    Console().print(table)
    click.echo(
        f"reached {result['reached']} of {result['runs']}, first movement within {result['first_movement_s_max']} s, "
        f"{result['replays_same']} replays the same"
    )


def show_plan(report: dict[str, Any]) -> None:
    """Times, the floor beside ours, scaling, footprint and estimates."""
    floors = report["floors"]
    _times(f"a plan on {report['threads']} thread(s), all in turn", report["rows"], floors)
    for tier, floor in floors.items():
        click.echo(
            f"floor of {tier}: {floor['ms']:.2f} ms for {floor['gflop']:.3f} GFLOP; products alone through onnxruntime "
            f"{floor['onnxruntime_gflops']:.0f} GFLOP/s, through torch {floor['torch_gflops']:.0f}"
        )
    if "scaling" in report:
        _times("samples and steps", report["scaling"], {})
        _times("threads", report["scaling_threads"], {})
    if "footprint" in report:
        click.echo(
            f"a running bridge: {report['footprint']['peak_memory_mb']:.0f} MB at most, "
            f"{report['footprint']['first_plan_s']} s from start to the first plan"
        )
    for estimate in report["estimates"]:
        for name, ms in estimate["ms"].items():
            click.echo(
                f"estimate, not measured: {estimate['of']} on one core of a {name}: {ms:.0f} ms, if it reaches "
                f"{estimate['efficiency']:.2f} of {estimate['assumed_peak_gflops'][name]:.0f} GFLOP/s as it does here"
            )


def _times(title: str, rows: list[dict[str, Any]], floors: dict[str, Any]) -> None:
    table = Table(title=title, box=None, pad_edge=False, padding=(0, 1))  # 80 columns are enough
    table.add_column("planner", no_wrap=True)
    for heading in ("model", "S x H x I", "threads", "ms", "p99 ms", "GFLOP/s", "of floor"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        gflops = 1e3 * row["gflop"] / row["median_ms"]
        floor = floors.get(row["tier"]) if row["planner"].startswith("ours") else None
        table.add_row(
            row["planner"],
            row["tier"],
            f"{row['samples']} x {row['horizon']} x {row['iterations']}",
            str(row["threads"]),
            f"{row['median_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
            f"{gflops:.0f}",
            f"{gflops / floor['gflops']:.2f}" if floor else "-",
        )
    Console().print(table)
