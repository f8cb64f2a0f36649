"""`jepa-bridge --port PORT`: connect, drive, say how it went."""

from __future__ import annotations

import dataclasses
import json
import platform
import signal
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jepa_bridge.drive.core import DriveConfig
from jepa_bridge.drive.replay import RunSettings
from jepa_bridge.drive.run import DriveRun, check_goal
from jepa_bridge.errors import Exit
from jepa_bridge.link import Clock, Reopener
from jepa_bridge.plan.compiled import make_planner
from jepa_bridge.plan.device import fastest_device
from jepa_bridge.plan.mppi import SAMPLING
from jepa_bridge.record import Recorder
from jepa_bridge.resources import shipped
from jepa_bridge.setup.notify import journaled
from jepa_bridge.world.bundle import load_named
from jepa_bridge.world.device import Device

from .found import driven, found
from .permission import how, permitting
from .status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jepa_bridge.drive.report import DriveSummary

SECONDS_A_GOAL = 90.0  # crossing the arena's diagonal twice at half speed


def drive(*, settings_used: Mapping[str, object], **options: Any) -> int:
    """Run with the options of `drive_options`, said in the log as `settings_used`; returns the exit status."""
    goals = tuple(dataclasses.replace(goal, radius_m=options["radius"]) for goal in options["goals"])
    for goal in goals:
        check_goal(goal)
    world = load_named(options["model"])
    planner_config = SAMPLING[options["sampling"]]
    if options["cost"]:
        planner_config = dataclasses.replace(planner_config, cost=options["cost"])
    threads = options["threads"]
    device = Device(threads=threads) if threads else fastest_device(world, planner_config)
    settings = RunSettings(goals, DriveConfig(), planner_config, options["seed"], options["model"], world.hash, device)
    time_limit_s = options["time_limit"]
    if time_limit_s is None and options["once"]:
        time_limit_s = SECONDS_A_GOAL * max(1, len(goals))
    quiet = options["quiet"] or options["as_json"]
    with (
        found(options) as (transport, robot, notifier),
        Status(port=transport.name, model=options["model"], quiet=quiet, journal=journaled()) as status,
    ):
        reopen = Reopener(transport.name, options["baud"], uid=robot) if options["reconnect"] else None
        clock = Clock(transport.time_scale)
        recorder = None
        try:
            if not options["no_log"]:
                recorder = Recorder.create(
                    Path(options["log_dir"]),
                    metadata={
                        **settings.metadata(),
                        "port": transport.name,
                        "versions": json.dumps(versions()),
                        "settings": json.dumps(settings_used),
                    },
                    now_us=clock.now_us(),
                    cddl=(shipped("protocol") / "bridge.cddl").read_text(),
                    on_problem=lambda what: status.note(f"log: {what}"),
                )
            run = DriveRun(
                transport,
                make_planner(world, planner_config, options["seed"], device),
                goals,
                model_hash=world.hash,
                recorder=recorder,
                config=settings.drive,
                start_pose=options["start"],
                once=options["once"],
                time_limit_s=time_limit_s,
                on_update=None if quiet else status.update,
                on_note=status.note,
                on_tick=notifier.beat,
                clock=clock,
                reopen=reopen,
                **({} if reopen is None else {"pause": reopen.pause}),
                reconnect_s=options["reconnect"],
                rearm=options["rearm"],
                how_to_arm=how(),
            )
            with interrupting(run), permitting(run), taking_over(run, options["next_model"] or options["model"]):
                notifier.status(f"drives on {transport.name}, model {options['model']}")
                summary = run.run()
                driven(run.link.hello, run.link.port)
        finally:
            notifier.stopping()
            transport.close()
            if recorder is not None:
                recorder.close()
    report(summary, as_json=options["as_json"])
    if summary.ended_by == "interrupted":
        return Exit.INTERRUPTED
    return Exit.OK if summary.reached or not options["once"] else Exit.NOT_REACHED


@contextmanager
def interrupting(run: DriveRun) -> Iterator[None]:
    """Ctrl-C, a hang-up or a polite kill end the run by its own way out: wheels to zero, log closed."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: run.interrupt()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def taking_over(run: DriveRun, model: str) -> Iterator[None]:
    """SIGUSR1: load `model` and drive on with it."""
    if not hasattr(signal, "SIGUSR1"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGUSR1, lambda *_: run.take_over(model))
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def report(summary: DriveSummary, *, as_json: bool) -> None:
    """The summary on stdout."""
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(summary)))
        return
    for goal in summary.goals:
        outcome = "reached" if goal["reached"] else f"not reached, {goal['distance_m']} m away"
        click.echo(f"goal {goal['x_m']:g}, {goal['y_m']:g}: {outcome}")
    contacts = "no bump sensor" if summary.contacts is None else f"{summary.contacts} contacts"
    click.echo(f"drove {summary.distance_m:.2f} m in {summary.duration_s:.1f} s, {contacts}, {summary.plans} plans")
    if summary.log is not None:
        click.echo(f"log {summary.log}   replay it: jepa-bridge replay --check {summary.log}")


def versions() -> dict[str, str]:
    """What ran, for the log."""
    packages = ("jepa-bridge", "numpy", "onnxruntime", "cbor2", "pyserial", "mcap")
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a checkout without being installed
            found[package] = "not installed"
    return found
