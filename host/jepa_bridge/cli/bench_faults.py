"""`jepa-bridge bench faults` and `bench soak`: what goes wrong on purpose, measured."""

from __future__ import annotations

import json
from typing import Any

import click

from jepa_bridge.errors import Exit


@click.command("faults")
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True, help="Of each case.")
@click.option("--case", "only", type=int, multiple=True, help="Only this one; repeat for several.")
@click.option(
    "--hold", "hold_s", type=click.FloatRange(2.5), default=30.0, show_default=True, help="Seconds a host is held."
)
@click.option("--json", "as_json", is_flag=True)
def faults(*, runs: int, only: tuple[int, ...], hold_s: float, as_json: bool) -> int:
    """Break the line, the robot and the host in 27 ways; how long until the wheels' output is zero."""
    from jepa_bridge.cli.extras import needs
    from jepa_bridge.cli.progress import progress

    with needs("sim"):
        from jepa_bridge.faults.bench import bench_faults

        with progress("bench faults", quiet=as_json) as show:
            report = bench_faults(runs, only=only, hold_s=hold_s, progress=show)
    if as_json:
        click.echo(json.dumps(report))
    else:
        _show(report)
    return Exit.OK if report["passed"] else Exit.CHECK_FAILED


@click.command("soak")
@click.option("--minutes", type=click.FloatRange(min=0.1), default=30.0, show_default=True)
@click.option("--rate", type=click.FloatRange(0.0, 0.1), default=1e-4, show_default=True, help="Errors a byte.")
@click.option("--speed", type=click.FloatRange(0.1, 10.0), default=1.0, show_default=True, help="Of the twin.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--model", default="tiny", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def soak(*, minutes: float, rate: float, speed: float, seed: int, model: str, as_json: bool) -> int:
    """Drive the twin for long over a bad line: memory, threads, descriptors, and where every command went."""
    import dataclasses

    from jepa_bridge.cli.extras import needs
    from jepa_bridge.cli.progress import progress

    with needs("sim"):
        from jepa_bridge.faults.soak import soak as run

        with progress("bench soak", quiet=as_json) as show:
            result = dataclasses.asdict(run(minutes, rate=rate, speed=speed, seed=seed, model=model, progress=show))
    if as_json:
        click.echo(json.dumps(result))
    else:
        for name, value in result.items():
            click.echo(f"{name:16} {value}")
    return Exit.CHECK_FAILED if result["problems"] else Exit.OK


def _show(report: dict[str, Any]) -> None:
    """The table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"time until the wheels' output is zero, {report['runs']} runs of each case")
    for heading, justify in (("#", "right"), ("fault", "left"), ("since", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for heading in ("p50 ms", "p99 ms", "max ms", "limit ms", "passed"):
        table.add_column(heading, justify="right")
    for row in report["cases"]:
        times = ("-" if row[name] is None else f"{row[name]:.0f}" for name in ("p50_ms", "p99_ms", "max_ms"))
        passed = f"{row['passed']} of {row['runs']}"
        table.add_row(str(row["case"]), row["fault"], row["since"], *times, f"{row['limit_ms']:.0f}", passed)
    Console(width=140).print(table)
    for row in report["cases"]:
        for error in row["errors"]:
            click.echo(f"case {row['case']}: {error}")
        for error in row["disturbed_errors"]:
            click.echo(f"case {row['case']}, disturbed by other work on this machine: {error}")
    worst = report["link_stop_max_ms"]
    if worst is not None:
        click.echo(f"link faults: at most {worst:.0f} ms, expiry + ramp + 20 ms are {report['link_stop_limit_ms']} ms")
