"""Drive the twin for long over a bad line: nothing may grow, and every command must be accounted for.

    jepa-bridge bench soak --minutes 30

The whole drive loop with model, planner and recorder goes round the arena. Beside it count, each for itself, the host
(commands written), the line (frames that went in, frames that came out whole) and the robot (frames accepted, refused,
expired): what one says must follow from the others.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jepa_bridge.drive.run import DriveRun
from jepa_bridge.errors import BridgeError
from jepa_bridge.faults.rig import Broken, Counter, wait_for
from jepa_bridge.link import Clock, Link, decode, open_transport
from jepa_bridge.link.chaos import Faults, Way
from jepa_bridge.link.proxy import Proxy
from jepa_bridge.link.schema import Cmd
from jepa_bridge.plan.mppi import Planner
from jepa_bridge.record import Recorder
from jepa_bridge.resources import shipped
from jepa_bridge.types import Goal
from jepa_bridge.world.bundle import load_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.link.schema import Status

CORNERS = ((4.0, 4.0), (1.0, 4.0), (4.0, 1.0), (1.0, 1.0))
ROUNDS = 1000  # more than can be driven
SAMPLE_S = 0.5
WARM_SHARE = 0.25  # of the time, in which memory may still grow: buffers fill, code is loaded
RSS_GROWTH_MAX_KB = 4096
SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What this process holds."""

    at_s: float
    rss_kb: int
    threads: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Soak:
    """What a soak came to."""

    minutes: float
    speed: float
    byte_errors: float
    bytes: int
    bytes_damaged: int
    rss_kb: tuple[int, int]  # highest: after the warm-up's end, and in the last quarter
    threads: tuple[int, int]
    descriptors: tuple[int, int]
    commands: int  # given out by the host and written to its port
    lost: int  # of these, on the line
    applied: int
    expired: int
    refused: int
    robot_frames: int  # that the robot says it accepted
    line_frames: int  # that came out of the line whole
    superseded: int
    writes_timed_out: int  # these may have gone into the line or not
    reboots: int
    goals_reached: int
    distance_m: float
    ended_by: str
    problems: tuple[str, ...]


class _Counting:
    """A recorder that also counts what was written to the port."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.commands = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recorder, name)

    def frame(self, direction: Any, body: bytes, t_us: int) -> None:
        if direction == "host" and isinstance(decode(body), Cmd):
            self.commands += 1
        self._recorder.frame(direction, body, t_us)


def soak(
    minutes: float,
    *,
    rate: float = 1e-4,
    speed: float = 1.0,
    seed: int = 1,
    model: str = "tiny",
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Soak:
    """Drive for so long; a third of the byte errors each are turned bits, lost bytes and added bytes."""
    faults = Faults(flip=rate / 3, drop=rate / 3, insert=rate / 3, seed=seed)
    sent, delivered = {way: Counter() for way in Way}, {way: Counter() for way in Way}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        behind = open_transport(f"sim://open?seed={seed}&speed={speed:g}")
        stack.callback(behind.close)
        assert behind.fileno is not None
        proxy = stack.enter_context(
            Proxy(
                behind.fileno,
                faults,
                on_sent=lambda way, data: sent[way].feed(data),
                on_delivered=lambda way, data: delivered[way].feed(data),
            )
        )
        transport = open_transport(proxy.path or "")
        transport.time_scale = behind.time_scale
        cddl = (shipped("protocol") / "bridge.cddl").read_text()
        clock = Clock(behind.time_scale)
        recorder = Recorder.create(
            Path(folder), metadata={}, cddl=cddl, on_problem=lambda _: None, now_us=clock.now_us()
        )
        stack.callback(recorder.close)
        counting = _Counting(recorder)
        run = DriveRun(
            transport,
            Planner(load_named(model), seed=seed),
            [Goal(*corner) for corner in CORNERS * ROUNDS],
            model_hash="",
            recorder=cast("Recorder", counting),
            time_limit_s=minutes * 60 * behind.time_scale,
            clock=clock,
        )
        samples, ended_by = _drive(run, minutes, progress)
        stats, reached = run.link.stats(), run.core.progress
        proxy.set_faults(Faults())
        robot_frames, line_frames, status = _told(proxy, delivered[Way.ROBOT], behind.time_scale)
        damaged = sum(done.flipped + done.dropped + done.inserted for done in (proxy.done(way).done for way in Way))
        carried = sum(proxy.done(way).done.bytes_in for way in Way)
    warm = [sample for sample in samples if sample.at_s > WARM_SHARE * minutes * 60] or samples
    half = len(warm) // 2 or 1
    early, late = warm[:half], warm[half:] or warm

    def held(name: str) -> tuple[int, int]:
        return (max(getattr(one, name) for one in early), max(getattr(one, name) for one in late))

    commands, whole = counting.commands, delivered[Way.ROBOT].frames.get("Cmd", 0)
    result = Soak(
        minutes=round(samples[-1].at_s / 60, 2),
        speed=speed,
        byte_errors=rate,
        bytes=carried,
        bytes_damaged=damaged,
        rss_kb=held("rss_kb"),
        threads=held("threads"),
        descriptors=held("descriptors"),
        commands=commands,
        lost=commands - whole,
        applied=whole - status.commands_expired - status.frames_refused,
        expired=status.commands_expired,
        refused=status.frames_refused,
        robot_frames=robot_frames,
        line_frames=line_frames,
        superseded=stats.commands_superseded,
        writes_timed_out=stats.writes_timed_out,
        reboots=stats.reboots,
        goals_reached=reached.goals_reached,
        distance_m=round(reached.distance_m, 1),
        ended_by=ended_by,
        problems=(),
    )
    in_line = sent[Way.ROBOT].frames.get("Cmd", 0)
    return Soak(**{**asdict(result), "problems": _problems(result, in_line)})


def _problems(result: Soak, in_line: int) -> tuple[str, ...]:
    """What must not be."""
    (rss_early, rss_late) = result.rss_kb
    checks = (
        (result.ended_by == "time-limit", f"the drive ended early: {result.ended_by}"),
        (result.reboots == 0, f"the robot restarted {result.reboots} times"),
        (rss_late - rss_early <= RSS_GROWTH_MAX_KB, f"memory grew from {rss_early} to {rss_late} KB"),
        (result.threads[1] <= result.threads[0], f"threads grew: {result.threads}"),
        (result.descriptors[1] <= result.descriptors[0], f"descriptors grew: {result.descriptors}"),
        (
            0 <= in_line - result.commands <= result.writes_timed_out,
            f"{result.commands} commands written, {in_line} went into the line",
        ),
        (
            result.robot_frames == result.line_frames,
            f"{result.line_frames} frames came out of the line whole, the robot accepted {result.robot_frames}",
        ),
        (result.bytes_damaged > 0 and result.commands > 0, "nothing was damaged, or nothing was driven"),
        (result.applied >= 0.9 * result.commands, f"only {result.applied} of {result.commands} commands were applied"),
    )
    return tuple(what for holds, what in checks if not holds)


def _drive(run: DriveRun, minutes: float, progress: Callable[[int, int, str], None]) -> tuple[list[Sample], str]:
    """The run on a thread of its own, watched from here."""
    ended_by = ["error"]

    def drive() -> None:
        try:
            ended_by[0] = run.run().ended_by
        except BridgeError as error:
            ended_by[0] = f"[{error.code}] {error.message}"

    thread = threading.Thread(target=drive, name="soak", daemon=True)
    began_s = time.monotonic()
    thread.start()
    samples = []
    while thread.is_alive():
        thread.join(SAMPLE_S)
        if thread.is_alive():  # its end takes threads and files with it
            samples.append(_sample(time.monotonic() - began_s))
            progress(int(samples[-1].at_s), int(minutes * 60), f"{run.core.progress.distance_m:.0f} m driven")
    return samples, ended_by[0]


def _sample(at_s: float) -> Sample:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return Sample(
        at_s, int(fields["VmRSS"].split()[0]), int(fields["Threads"]), sum(1 for _ in Path("/proc/self/fd").iterdir())
    )


def _told(proxy: Proxy, line: Counter, time_scale: float) -> tuple[int, int, Status]:
    """Frames that the robot says it accepted, frames that came out of the line by then, the robot's STATUS.

    Both counts are taken when nothing is under way; where they still differ, they differ.
    """
    link = Link(open_transport(proxy.path or ""), Clock(time_scale))
    link.start()
    try:
        link.wait_ready(10.0)
        with contextlib.suppress(Broken):
            wait_for(lambda: link.status is not None and link.status.frames_ok == line.total, "the count", SETTLE_S)
        status, total = link.status, line.total
        assert status is not None
        return status.frames_ok, total, status
    finally:
        link.close()
