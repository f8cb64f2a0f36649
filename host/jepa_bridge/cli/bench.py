"""`jepa-bridge bench`: measure this machine; every figure in the documents comes from here."""

from __future__ import annotations

import json

import click

from jepa_bridge.cli import bench_faults


@click.group("bench")
def command() -> None:
    """Measure link, firmware, planner and driving on this machine."""


@command.command("link")
@click.option("--port", default="sim://open?seed=1", show_default=True, help="A real robot on blocks: its wheels turn.")
@click.option("--delay-seconds", type=click.FloatRange(min=1.0), default=20.0, show_default=True)
@click.option("--loss-seconds", type=click.FloatRange(min=1.0), default=60.0, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def link(*, port: str, delay_seconds: float, loss_seconds: float, as_json: bool) -> None:
    """Decode rate; SENSOR in to CMD out over a pty with the real firmware; frames lost at 50 Hz."""
    import dataclasses

    from jepa_bridge.link.bench import decode_rate, delay, loss

    values = {
        "decode": dataclasses.asdict(decode_rate()),
        "delay": dataclasses.asdict(delay(delay_seconds, port)),
        "loss": dataclasses.asdict(loss(loss_seconds, port)),
    }
    if as_json:
        click.echo(json.dumps(values))
    else:
        for name, value in values.items():
            click.echo(f"{name}: {', '.join(f'{key} {item}' for key, item in value.items())}")


@command.command("firmware")
@click.option("--json", "as_json", is_flag=True)
def firmware(*, as_json: bool) -> None:
    """Encode and frame time of a SENSOR frame on MicroPython, beside two plainer encoders; heap per packet."""
    import subprocess

    from jepa_bridge.cli.extras import needs
    from jepa_bridge.resources import shipped

    with needs("sim"):
        from jepa_bridge.twin import firmware as process

        folder = shipped("firmware")
        arguments = [*process.command("micropython"), "bench_encode.py", *(["--json"] if as_json else [])]
        subprocess.run(arguments, cwd=folder, check=True)


@command.command("plan")
@click.option("--model", "models", multiple=True, metavar="NAME|DIR", help="Repeat.  [default: small, then the others]")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(min=2), default=200, show_default=True, help="Plans of each planner.")
@click.option("--only", "planners", multiple=True, metavar="PLANNER", help="A planner of the table; repeat.")
@click.option("--scaling/--no-scaling", default=True, help="Ours over samples, horizon and threads.")
@click.option("--footprint/--no-footprint", default=True, help="Memory and start of a bridge that drives the twin.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE.png", help="Draw the figures.")
@click.option("--json", "as_json", is_flag=True)
def plan(
    *,
    models: tuple[str, ...],
    threads: int,
    rounds: int,
    planners: tuple[str, ...],
    scaling: bool,
    footprint: bool,
    plot: str | None,
    as_json: bool,
) -> None:
    """Milliseconds a plan, ours beside PyTorch's, pytorch-mppi's and the matrix products alone.

    \b
    jepa-bridge bench plan --json --plot plan.png
    jepa-bridge bench plan --model models/mine --only ours --only torch_gru --no-scaling
    """
    import dataclasses
    from pathlib import Path

    from jepa_bridge.cli.extras import needs
    from jepa_bridge.cli.progress import progress

    with needs("bench"):
        from jepa_bridge.learn.bench import PLANNERS, bench_plan, shipped_models

        if unknown := set(planners) - set(PLANNERS):
            raise click.UsageError(f"--only: expected {', '.join(PLANNERS)}, got {', '.join(sorted(unknown))}")
        models = models or shipped_models()
        with progress("bench plan", quiet=as_json) as show:
            report = bench_plan(
                models,
                threads=threads,
                rounds=rounds,
                planners=[name for name in PLANNERS if not planners or name in planners],
                scaling=scaling,
                progress=show,
            )
        if footprint:
            from jepa_bridge.drive.bench import footprint as measure

            report["footprint"] = dataclasses.asdict(measure(models[0]))
        if plot is not None:
            from jepa_bridge.learn.plots import draw_plan_times

            draw_plan_times(report, Path(plot))
    if as_json:
        click.echo(json.dumps(report))
    else:
        from jepa_bridge.cli.bench_table import show_plan

        show_plan(report)


@command.command("drive")
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--arena", default="open", show_default=True)
@click.option("--goal", default="4,4", show_default=True)
@click.option("--model", default="small", show_default=True)
@click.option("--speed", type=click.FloatRange(0.1, 10.0), default=1.0, show_default=True, help="Of the twin.")
@click.option("--json", "as_json", is_flag=True)
def drive(*, seeds: int, arena: str, goal: str, model: str, speed: float, as_json: bool) -> None:
    """The whole program, seed after seed: goals reached, time to the first movement, exact replays."""
    from jepa_bridge.cli.extras import needs
    from jepa_bridge.cli.progress import progress

    with needs("sim"):
        from jepa_bridge.drive.bench import bench_drive

        with progress("bench drive", quiet=as_json) as show:
            result = bench_drive(seeds, arena=arena, goal=goal, model=model, speed=speed, progress=show)
    if as_json:
        click.echo(json.dumps(result))
    else:
        from jepa_bridge.cli.bench_table import show_drive

        show_drive(result)


command.add_command(bench_faults.faults)
command.add_command(bench_faults.soak)
