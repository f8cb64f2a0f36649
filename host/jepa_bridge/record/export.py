"""Training data from a log: what the robot saw, what it was told to do for one step, what it saw then.

Made from the wire frames alone, on the device's clock: a command acts when it reaches the robot and until it expires,
whatever the host thought at the time.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.codec import decode
from jepa_bridge.link.frame import FrameError
from jepa_bridge.link.schema import Ack, Arm, Cmd, Hello, Message, Pose, Result, Sensor, State, Status, Stop
from jepa_bridge.record.channels import META_RUN, WIRE_DEVICE, WIRE_HOST
from jepa_bridge.types import WHEEL_UNITS, Observation, Transition, WheelCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jepa_bridge.record.reader import Log

    # drive.observe.observation_from: the one place where a message becomes an Observation, passed in
    Observe = Callable[[Sensor, int], Observation]

STEP_S = 0.2  # the model's step
GAP_MAX_US = 300_000  # longer without SENSOR: nobody knows what happened, so no step crosses it
# A step ends with the frame nearest to its planned end. At 50 Hz that is 10 ms away at most; a frame further away
# than this would pass off a longer or shorter step as one of STEP_S.
MISS_MAX_US = 50_000
EPISODE_STEPS = 20  # 4 s: twice the horizon that is planned
_TICKS_PERIOD_US = 2**30
_LATENCY_FRAMES = 250  # 5 s at 50 Hz, in which two crystals part by less than 1 ms


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """What went into a shard."""

    path: Path
    episodes: int
    transitions: int
    left_over: int  # transitions of runs too short, or at the end of one, for a whole episode


def transitions(log: Log, observe: Observe, *, step_s: float = STEP_S) -> Iterator[Transition]:
    """Steps of `step_s` in order. Where two follow each other without a break, `after` is the next one's `before`."""
    resampler = _Resampler(observe, round(step_s * 1e6))
    for record in log.records((WIRE_DEVICE, WIRE_HOST)):
        try:
            message = decode(record.data)
        except FrameError:
            continue  # `summarise` counts them
        transition = resampler.feed(message, record.t_us)
        if transition is not None:
            yield transition


def export_shard(log: Log, path: Path, observe: Observe, *, steps: int = EPISODE_STEPS) -> ShardSummary:
    """Write the log's transitions as episodes of `steps` steps in the training format (ARCHITECTURE.md).

    Raises BridgeError `log-too-short` if there is no single episode in it, `log-directory` if `path` cannot be written.
    """
    episodes: list[list[Transition]] = []
    run: list[Transition] = []
    total = 0
    for transition in transitions(log, observe):
        total += 1
        if run and run[-1].after is not transition.before:
            run = []
        run.append(transition)
        if len(run) == steps:
            episodes.append(run)
            run = []
    if not episodes:
        raise BridgeError(
            "log-too-short",
            f"{log.path} holds no {steps * STEP_S:.1f} s without a gap ({total} steps in all)",
            "record a longer drive",
            status=Exit.LOG,
        )
    run_facts = log.metadata.get(META_RUN, {})
    meta = {
        "source": "log",
        "log": log.path.name,
        "step_s": STEP_S,
        "model_hash": run_facts.get("model_hash", ""),
        "robot": log.metadata.get("robot", {}),
    }
    _write(path, _arrays(episodes), json.dumps(meta))
    return ShardSummary(path, len(episodes), len(episodes) * steps, total - len(episodes) * steps)


def _arrays(episodes: list[list[Transition]]) -> dict[str, Any]:
    """The shard's arrays; E episodes of T steps."""
    seen = [[run[0].before, *(transition.after for transition in run)] for run in episodes]
    ranges_m = [[[np.nan if r is None else r for r in o.ranges_m] for o in run] for run in seen]
    pose = np.array([[(o.x_m, o.y_m, o.heading_rad) for o in run] for run in seen], np.float32)
    return {
        "ranges_m": np.array(ranges_m, np.float32),  # [E, T+1, 8]
        "pose": pose,  # [E, T+1, 3]
        "true_pose": np.full_like(pose, np.nan),  # [E, T+1, 3]; nobody knows it
        "actions": np.array(
            [[(t.action.left, t.action.right) for t in run] for run in episodes], np.float32
        ),  # [E, T, 2]
        "wheels_m_s": np.array([[(o.left_m_s, o.right_m_s) for o in run] for run in seen], np.float32),  # [E, T+1, 2]
        "contact": np.array([[o.bump for o in run] for run in seen], np.bool_),  # [E, T+1]
    }


def _write(path: Path, arrays: dict[str, Any], meta: str) -> None:
    """In one move: a shard that exists is whole."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, meta=np.array(meta), **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise BridgeError(
            "log-directory", f"cannot write {path}: {error.strerror or error}", "choose another folder", status=Exit.LOG
        ) from error


@dataclass(slots=True)
class _Applied:
    """A command on the device's clock: it acts in start_us <= t < end_us."""

    start_us: int
    end_us: int
    command: WheelCommand


class _Resampler:
    """Takes messages in the order of the log and gives a transition whenever a step is complete."""

    def __init__(self, observe: Observe, step_us: int) -> None:
        self._observe = observe
        self._step_us = step_us
        self._expiry_max_us = 500_000  # until a HELLO says it
        self._session = 0
        self._start_session(0)

    def feed(self, message: Message, host_us: int) -> Transition | None:
        """The step that this message completes, if it does."""
        if isinstance(message, Hello):
            self._expiry_max_us = message.expiry_max_ms * 1000
        elif message.session != self._session:
            if not isinstance(message, Sensor):
                return None
            self._start_session(message.session)
        match message:
            case Sensor():
                return self._on_sensor(message, host_us)
            case Cmd():
                self._on_command(message, host_us)
            case Status():
                self._movable = message.state in (State.ARMED, State.DRIVING)
                if not self._movable:
                    self._stop_at(self._unwrap(message.t_us))
            case Stop():
                self._movable = False
                self._stop_at(host_us - self._latency_us())
            case Ack() if message.result == Result.OK and message.of_type == Arm.TYPE:
                self._movable = True
            case Pose():
                self._break()  # odometry is about to jump
            case Ack() if message.result == Result.OK and message.of_type == Pose.TYPE:
                self._break()
        return None

    def _start_session(self, session: int) -> None:
        self._session = session
        self._latencies: deque[int] = deque(maxlen=_LATENCY_FRAMES)
        self._newest: Observation | None = None
        self._applied: deque[_Applied] = deque()
        self._movable = True  # a host sends CMD only after ARM; STATUS says otherwise soon enough
        self._break()

    def _break(self) -> None:
        self._start: Observation | None = None
        self._target_us = 0

    def _on_sensor(self, sensor: Sensor, host_us: int) -> Transition | None:
        previous = self._newest
        t_us = self._unwrap(sensor.t_us)
        if previous is not None and not 0 < t_us - previous.t_us <= GAP_MAX_US:
            self._break()
            if t_us <= previous.t_us:  # the clock never runs back within a session
                self._start_session(self._session)
        observation = self._newest = self._observe(sensor, t_us)
        self._latencies.append(host_us - t_us)
        if self._start is None or previous is None:
            self._start, self._target_us = observation, t_us + self._step_us
            return None
        if t_us < self._target_us:
            return None
        end = previous if self._target_us - previous.t_us < t_us - self._target_us else observation
        start, missed_us = self._start, abs(end.t_us - self._target_us)
        if end is start or missed_us > MISS_MAX_US:
            self._start, self._target_us = observation, t_us + self._step_us
            return None
        self._start, self._target_us = end, self._target_us + self._step_us
        return Transition(start, self._mean_command(start.t_us, end.t_us), end, (end.t_us - start.t_us) / 1e6)

    def _on_command(self, cmd: Cmd, host_us: int) -> None:
        if not self._latencies or not self._movable:
            return
        start_us = host_us - self._latency_us()
        end_us = _near(cmd.expires_us, start_us)
        if 0 < end_us - start_us <= self._expiry_max_us:  # the device refuses any other
            self._stop_at(start_us)
            command = WheelCommand(cmd.left_wheel / WHEEL_UNITS, cmd.right_wheel / WHEEL_UNITS)
            self._applied.append(_Applied(start_us, end_us, command))

    def _stop_at(self, t_us: int) -> None:
        if self._applied:
            self._applied[-1].end_us = min(self._applied[-1].end_us, t_us)

    def _mean_command(self, start_us: int, end_us: int) -> WheelCommand:
        """Mean over the time; standing still where no command applied."""
        while self._applied and self._applied[0].end_us <= start_us:
            self._applied.popleft()
        left = right = 0.0
        for applied in self._applied:
            share = max(0, min(applied.end_us, end_us) - max(applied.start_us, start_us)) / (end_us - start_us)
            left += share * applied.command.left
            right += share * applied.command.right
        return WheelCommand(left, right)

    def _latency_us(self) -> int:
        """Host's clock minus the device's, as the quickest of the newest frames showed it."""
        return min(self._latencies, default=0)

    def _unwrap(self, ticks: int) -> int:
        return ticks if self._newest is None else _near(ticks, self._newest.t_us)


def _near(ticks: int, reference_us: int) -> int:
    """The time nearest to `reference_us` that the device's wrapping clock shows as `ticks`."""
    half = _TICKS_PERIOD_US // 2
    return reference_us + (ticks - reference_us + half) % _TICKS_PERIOD_US - half
