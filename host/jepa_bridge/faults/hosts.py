"""Cases 11 to 14 and 24 to 27: the host's processes, its clock, its disk, and what stands on its ports."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tty
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.faults.case import RAMP_MS, Outcome, Settings, case
from jepa_bridge.faults.drive import Drive
from jepa_bridge.faults.rig import Rig, require, wait_for
from jepa_bridge.link import Clock, Link, frame_of, open_transport
from jepa_bridge.link.schema import PROTOCOL_VERSION, SCHEMA_HASH, Hello, ResetCause
from jepa_bridge.record import Recorder, read_log
from jepa_bridge.resources import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

AFTER_S = 0.4
PLAN_AGE_MS = 1000  # a plan is followed for so long after the observation that it was made from
COMMAND_MS = 50
DISK_BYTES = 40_000
MODEL = "tiny"


class HostProcess:
    """A program of ours as a process of its own, on a rig's port."""

    def __init__(self, *arguments: str, file_size_max: int | None = None) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        if file_size_max is not None:  # of the child only: what a full disk answers, without filling one
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (file_size_max, file_size_max))

    @classmethod
    def driving(cls, rig: Rig) -> Self:
        """`host.py`, at full speed."""
        assert rig.proxy.path is not None
        host = cls("-m", "jepa_bridge.faults.host", rig.proxy.path)
        rig.wait_full_speed(15.0)
        return host

    @classmethod
    def program(cls, rig: Rig, *options: str, file_size_max: int | None = None) -> Self:
        """`jepa-bridge`, once it moves the wheels."""
        assert rig.proxy.path is not None
        program = ("-c", "from jepa_bridge.cli import main; main()")
        options = ("--port", rig.proxy.path, "--goal", "4.9,4.9", "--quiet", *options)
        host = cls(*program, *options, file_size_max=file_size_max)
        wait_for(lambda: any(rig.robot.outputs[-1][1:]) or host.process.poll() is not None, "the program drives", 30)
        require(host.process.poll() is None, f"the program ended: {host.said()}")
        return host

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.communicate()
        self._errors.close()

    def send(self, number: signal.Signals) -> float:
        """Send a signal; when, monotonic s."""
        began_s = time.monotonic()
        self.process.send_signal(number)
        return began_s

    def said(self) -> str:
        """What it wrote to its standard error so far."""
        return os.pread(self._errors.fileno(), 100_000, 0).decode(errors="replace")


@case(11, "host SIGSTOP, then SIGCONT", "stop at expiry; no movement from what was queued", since="SIGSTOP")
def held(settings: Settings) -> Outcome:
    """Long enough for the robot to give its session up. The host goes on commanding when it is let go."""
    with Rig() as rig, HostProcess.driving(rig) as host:
        began_s = host.send(signal.SIGSTOP)
        outcome = Outcome([rig.stopped_after_ms(began_s)], {"held_s": settings.hold_s})
        time.sleep(max(0.0, began_s + settings.hold_s - time.monotonic()))
        host.send(signal.SIGCONT)
        rig.stays_at_rest(1.0, "let go")
        return outcome


@case(12, "host SIGKILL", "stop at expiry", since="SIGKILL")
def killed(_: Settings) -> Outcome:
    """At full speed."""
    with Rig() as rig, HostProcess.driving(rig) as host:
        began_s = host.send(signal.SIGKILL)
        return Outcome([rig.stopped_after_ms(began_s)])


@case(
    13, "planner hung, I/O alive", "the heartbeat is tied to planning: stop",
    limit_ms=PLAN_AGE_MS + COMMAND_MS + RAMP_MS + 20, since="the last plan",
)  # fmt: skip
def planner_hangs(_: Settings) -> Outcome:
    """Commands go on, and from one second after the last plan's observation on they are zero."""
    with Drive() as drive:
        drive.wait_full_speed()
        began_s = drive.planner.hang()
        outcome = Outcome([drive.rig.stopped_after_ms(began_s, within_s=2.0)])
        require(drive.run.link.armed, "the link is down, too")
        drive.rig.stays_at_rest(AFTER_S, "without a plan")
        drive.planner.release()
        drive.wait_full_speed()
        return outcome


@case(14, "host wall clock jumps", "no effect", since="the interrupt after it")
def wall_clock_jumps(_: Settings) -> Outcome:
    """A day forward and two back, under the whole drive loop with its recorder."""
    with tempfile.TemporaryDirectory() as folder, recording(Path(folder), []) as recorder:
        with Drive(recorder=recorder) as drive:
            drive.wait_full_speed()
            count = len(drive.rig.robot.outputs)
            for jump_s in (86_400.0, -172_800.0):
                with jumped(jump_s):
                    time.sleep(0.4)
            require(len(drive.rig.robot.outputs) == count, f"the wheels changed: {drive.rig.robot.outputs[count:]}")
            outcome = interrupted(drive)
        recorder.close()
        times_us = [record.t_us for record in read_log(recorder.path).records(("wire/host",))]
        require(times_us == sorted(times_us) and times_us[-1] - times_us[0] < 60e6, "the log's clock jumped")
        return outcome


@case(24, "a second process opens the port", "refused, holder named")
def port_taken(_: Settings) -> Outcome:
    """The program, on a port that this process drives on."""
    with Rig() as rig:
        rig.drive()
        path = rig.proxy.path or ""
        second = HostProcess("-c", "from jepa_bridge.cli import main; main()", "--port", path, "--no-log")
        with second:
            require(second.process.wait(20) == Exit.PORT, f"exit status {second.process.returncode}")
            said = second.said()
        require("[port-busy]" in said and f"(pid {os.getpid()})" in said, f"it said {said!r}")
        # not that the output never changed: on a busy machine the start of a process holds up the host that drives
        rig.wait_full_speed()
        status, stats = rig.status(), rig.link.stats()
        require(stats.sessions == 1 and rig.link.armed, "the second process took the session")
        require(status.frames_refused == status.frames_bad == stats.frames_bad == 0, "the second process was heard")
        began_s = rig.silence()
        return Outcome([rig.stopped_after_ms(began_s)])


@case(25, "wrong version or schema, a REPL or another device on the port", "clear message; nothing is written to it")
def no_robot(_: Settings) -> Outcome:
    """Each on a pty of its own; what is written to it is counted."""
    limits = (50, 2000, 80, 500, 0)
    hello = Hello(0, 0, 0, PROTOCOL_VERSION, SCHEMA_HASH, b"else", 1, "9.9.9", "other", ResetCause.EXTERNAL, 0, *limits)
    codes: dict[str, object] = {}
    for name, sends, code, says in (
        ("repl", b"MicroPython v1.24 on ESP32\r\n>>> ", "no-hello", "prompt"),
        ("boot-loader", b"ets Jul 29 2019\r\nrst:0x10\r\nwaiting for download\r\n", "no-hello", "boot loader"),
        ("gps", b"$GPGGA,123519,4807.038,N,01131.000,E*47\r\n" * 5, "no-hello", "other device"),
        ("noise", bytes(range(1, 256)), "no-hello", "baud"),
        ("silent", b"", "no-hello", "nothing was received"),
        ("version", frame_of(dataclasses.replace(hello, protocol_version=9)), "incompatible-protocol", "version 9"),
        ("schema", frame_of(dataclasses.replace(hello, schema_hash=b"\0\1\2\3")), "incompatible-schema", "00010203"),
    ):
        error, written = answer_to(sends)
        told = f"{error.message} {error.hint}"
        require((error.code, written) == (code, b""), f"{name}: [{error.code}], written {written!r}")
        require(says in told, f"{name}: it said {told!r}")
        codes[name] = error.code
    return Outcome(facts=codes)


@case(
    26, "disk full, log directory vanishes", "driving goes on, said once; what was written stays readable",
    since="the end of the run",
)  # fmt: skip
def disk_full(_: Settings) -> Outcome:
    """The program with a limit on its files' size; then the drive loop, its folder removed."""
    with tempfile.TemporaryDirectory() as folder, Rig() as rig:
        logs = Path(folder) / "logs"
        options = ("--model", MODEL, "--log", str(logs))
        with HostProcess.program(rig, *options, file_size_max=DISK_BYTES) as host:
            wait_for(lambda: "log: " in host.said(), "the program says that its disk is full", 20)
            moved = len(rig.robot.outputs)
            time.sleep(1.0)
            require(len(rig.robot.outputs) > moved or any(rig.robot.outputs[-1][1:]), "it drives on no more")
            require(host.said().count("log: ") == 1, f"it said {host.said()!r}")
            began_s = host.send(signal.SIGTERM)
            outcome = Outcome([rig.stopped_after_ms(began_s)])
            require(host.process.wait(15) == Exit.INTERRUPTED, f"exit status {host.process.returncode}")
        (log,) = logs.glob("*.mcap")
        outcome.facts["readable"] = sum(1 for _ in read_log(log).records(("wire/device",)))
        require(
            int(str(outcome.facts["readable"])) > 20 and log.stat().st_size <= DISK_BYTES, "the log is not readable"
        )
    with tempfile.TemporaryDirectory() as folder:
        problems: list[str] = []
        with recording(Path(folder) / "logs", problems) as recorder, Drive(recorder=recorder) as drive:
            drive.wait_full_speed()
            count = len(drive.rig.robot.outputs)
            shutil.rmtree(Path(folder) / "logs")
            wait_for(lambda: problems, "the recorder says that its folder is gone")
            time.sleep(AFTER_S)
            require(len(drive.rig.robot.outputs) == count and len(problems) == 1, f"it drove on oddly: {problems}")
            outcome.stops_ms += interrupted(drive).stops_ms
    return outcome


@case(27, "model bundle replaced by a corrupt one while running", "kept out, old one stays", since="the end of the run")
def corrupt_bundle(_: Settings) -> Outcome:
    """In its own place, and then the program is told to load it again."""
    with tempfile.TemporaryDirectory() as folder, Rig() as rig:
        bundle = Path(folder) / "bundle"
        shutil.copytree(shipped("models") / MODEL, bundle)
        with HostProcess.program(rig, "--model", str(bundle), "--no-log") as host:
            time.sleep(0.5)
            (bundle / "predictor.onnx").write_bytes(b"no graph")
            host.send(signal.SIGUSR1)
            wait_for(lambda: "is refused" in host.said(), "the bundle is refused", 10)
            moved = len(rig.robot.outputs)
            time.sleep(1.2)  # more than a plan may be old
            require(len(rig.robot.outputs) > moved or any(rig.robot.outputs[-1][1:]), "it drives on no more")
            require(host.process.poll() is None, "it ended")
            began_s = host.send(signal.SIGTERM)
            outcome = Outcome([rig.stopped_after_ms(began_s)])
            require(host.process.wait(15) == Exit.INTERRUPTED, f"exit status {host.process.returncode}")
        return outcome


@contextlib.contextmanager
def jumped(by_s: float) -> Iterator[None]:
    """The wall clock of this process, set by so much; the monotonic one goes on."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + by_s
    time.time_ns = lambda: real_ns() + int(by_s * 1e9)
    try:
        yield
    finally:
        time.time, time.time_ns = real, real_ns


@contextlib.contextmanager
def recording(folder: Path, problems: list[str]) -> Iterator[Recorder]:
    """A log there."""
    cddl = (shipped("protocol") / "bridge.cddl").read_text()
    recorder = Recorder.create(folder, metadata={}, cddl=cddl, on_problem=problems.append)
    try:
        yield recorder
    finally:
        recorder.close()


def interrupted(drive: Drive) -> Outcome:
    """The end of a drive by its own way out, measured."""
    began_s = time.monotonic()
    drive.run.interrupt()
    return Outcome([drive.rig.stopped_after_ms(began_s)])


def answer_to(sends: bytes) -> tuple[BridgeError, bytes]:
    """The host's error on a port that sends this, and what it wrote to it."""
    device, host = os.openpty()
    tty.setraw(host)
    os.set_blocking(device, False)
    link = Link(open_transport(os.ttyname(host)), Clock())
    try:
        os.write(device, sends)
        link.start()
        link.wait_ready(0.6)
    except BridgeError as error:
        link.close()
        with contextlib.suppress(BlockingIOError):
            return error, os.read(device, 4096)
        return error, b""
    finally:
        link.close()
        os.close(host)
        os.close(device)
    raise BridgeError("no-error", "what is no robot was taken for one")
