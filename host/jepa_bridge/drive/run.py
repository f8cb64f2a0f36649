"""One run: connect, arm, drive to the goals, stop. Everything that the drive core is fed is recorded.

The control loop wakes with each SENSOR frame (50 Hz). It never waits for the planner, the disk or the line: those have
threads of their own. Whatever ends the run, `finally` stops the wheels; if the process is killed instead, the expiry
of the last command does.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from typing import TYPE_CHECKING

from jepa_bridge.drive.arming import Arming
from jepa_bridge.drive.core import Decision, DriveConfig, DriveCore
from jepa_bridge.drive.observe import observation_from
from jepa_bridge.drive.planning import PlannerThread, Solved
from jepa_bridge.drive.report import DriveSummary, LoopTimes, Snapshot, quantile_ms
from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link import Clock, Link
from jepa_bridge.link.schema import Capability, Level, Log, StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jepa_bridge.link import Transport
    from jepa_bridge.link.schema import Hello, Message, Sensor
    from jepa_bridge.plan.compiled import Planner
    from jepa_bridge.record import Recorder
    from jepa_bridge.types import Goal

HELLO_TIMEOUT_S = 5.0
WAKE_US = 25_000  # the loop's period when no SENSOR frame wakes it
UPDATE_PERIOD_US = 125_000  # of the callback that draws the status
HEALTH_PERIOD_US = 1_000_000  # of the `health` channel
GOAL_MIN_M, GOAL_MAX_M = 0.0, 5.0  # the arena of the contract's normalisation: x / 5, y / 5


def check_goal(goal: Goal) -> None:
    """Refuse a goal that the model's input cannot express."""
    numbers = [goal.x_m, goal.y_m, goal.radius_m, goal.heading_rad or 0.0]
    inside = all(GOAL_MIN_M <= value <= GOAL_MAX_M for value in (goal.x_m, goal.y_m))
    if not all(map(math.isfinite, numbers)) or not inside:
        raise BridgeError(
            "goal-outside",
            f"the goal {goal.x_m:g},{goal.y_m:g} is outside what the model knows: "
            f"expected x and y from {GOAL_MIN_M:g} to {GOAL_MAX_M:g} metres",
            "give a goal inside the arena, e.g. --goal 4,4",
            status=Exit.USAGE,
        )


class DriveRun:
    """Drives one robot until the goals are reached (with `once`), time is up, or `interrupt` is called."""

    def __init__(
        self,
        transport: Transport,
        planner: Planner,
        goals: Sequence[Goal],
        *,
        model_hash: str,
        recorder: Recorder | None = None,
        config: DriveConfig | None = None,
        start_pose: tuple[float, float, float] | None = None,
        once: bool = False,
        time_limit_s: float | None = None,
        on_update: Callable[[Snapshot], None] | None = None,
        on_note: Callable[[str], None] | None = None,
        clock: Clock | None = None,
        on_tick: Callable[[], None] | None = None,
        reopen: Callable[[], Transport] | None = None,
        pause: Callable[[threading.Event, float], bool] = threading.Event.wait,
        reconnect_s: float = 60.0,
        rearm: bool = False,
        how_to_arm: str = "start again to drive",
    ) -> None:
        """With `reopen` a port that broke is looked for again, for `reconnect_s`; arming.py says what then holds.

        on_tick: called once a turn of the control loop, for whoever watches that it turns.
        """
        for goal in goals:
            check_goal(goal)
        self.core = DriveCore(goals, config)
        self.clock = clock or Clock(transport.time_scale)
        self.times = LoopTimes()
        self._planner = planner
        self._model_hash = model_hash
        self._recorder = recorder
        self._start_pose = start_pose  # x m, y m, heading rad
        self._once = once
        self._time_limit_s = time_limit_s
        self._on_update = on_update
        self._on_note = on_note
        self._on_tick = on_tick
        self._wake = threading.Event()
        self._interrupted = False
        self._next_model: str | None = None
        self._newest: tuple[Sensor, int, int] | None = None
        self._newest_lock = threading.Lock()
        self._decision: Decision | None = None
        self.link = Link(
            transport,
            self.clock,
            on_sensor=self._on_sensor,
            on_frame=self._on_frame,
            on_rejected=self._on_rejected,
            on_message=self._on_message,
            on_lost=self._on_lost,
            reopen=reopen,
            pause=pause,
        )
        self.arming = Arming(self.link, self._note, standing=rearm, patience_s=reconnect_s, how=how_to_arm)

    # These three are called by signal handlers and so only set flags: a handler runs in the middle of whatever the main
    # thread does, and if that is `_wake.wait`, holding the event's lock, `_wake.set` would wait for it for ever. The
    # loop looks within 25 ms.

    def interrupt(self) -> None:
        """End the run from another thread or a signal handler: wheels to zero, log closed."""
        self._interrupted = True

    def permit(self) -> None:
        """A person says that a robot that was lost and is back may move again; from any thread."""
        self.arming.permit()

    def take_over(self, model: str) -> None:
        """Go on with another bundle, from another thread or a signal handler; the robot keeps driving."""
        self._next_model = model

    def run(self) -> DriveSummary:
        """Connect and drive. Raises BridgeError when there is no robot, it refuses, or the link is lost."""
        planner = PlannerThread(self._planner, self.clock, self._wake.set)
        try:
            self.link.start()
            hello = self.link.wait_ready(HELLO_TIMEOUT_S)
            if self._recorder is not None:
                self._recorder.metadata("robot", _described(hello))
            if self._start_pose is not None:
                x_m, y_m, heading_rad = self._start_pose
                self.link.set_pose(round(x_m * 1000), round(y_m * 1000), round(heading_rad * 1000))
            if self.core.goals:
                self.arming.begin()
            start_us = self.clock.now_us()
            ended_by = self._loop(planner, start_us)
            return self._summary(hello, ended_by, (self.clock.now_us() - start_us) / 1e6)
        finally:
            self._on_note = None  # that the robot stops now is our own doing
            self.link.close()
            planner.close()

    # ---- the reader thread's side ----

    def _on_sensor(self, sensor: Sensor, t_us: int, device_t_us: int) -> None:
        with self._newest_lock:
            self._newest = (sensor, t_us, device_t_us)
        self._wake.set()

    def _on_frame(self, direction: str, body: bytes, t_us: int) -> None:
        if self._recorder is not None:
            self._recorder.frame("device" if direction == "device" else "host", body, t_us)

    def _on_rejected(self, data: bytes, reason: str, t_us: int) -> None:
        if self._recorder is not None:
            self._recorder.rejected(data, reason, t_us)

    def _on_lost(self, error: BridgeError) -> None:
        self.arming.lost(error)

    def _on_message(self, message: Message, t_us: int) -> None:
        if self._on_note is not None and isinstance(message, Log) and message.level >= Level.WARNING:
            self._on_note(f"robot: {message.text}")

    # ---- the control loop ----

    def _loop(self, planner: PlannerThread, start_us: int) -> str:
        next_update_us = next_health_us = start_us
        while not self._interrupted:
            self.clock.wait(self._wake, WAKE_US)
            self._wake.clear()
            now_us = self.clock.now_us()
            if self._next_model is not None:
                model, self._next_model = self._next_model, None
                planner.take_over(model)
            self._tick(planner, now_us)
            self.times.tick_us.append(self.clock.now_us() - now_us)
            self.arming.check(now_us)
            self._check_planner(planner)
            if self._on_tick is not None:
                self._on_tick()
            if self._on_update is not None and now_us >= next_update_us:
                next_update_us = now_us + UPDATE_PERIOD_US
                self._on_update(self._snapshot((now_us - start_us) / 1e6))
            if now_us >= next_health_us:
                next_health_us = now_us + HEALTH_PERIOD_US
                self._record("health", dataclasses.asdict(self.link.stats()), now_us)
            if self._once and self.core.goals and self.core.arrived:
                return "reached"
            if self._time_limit_s is not None and now_us - start_us > self._time_limit_s * 1e6:
                return "time-limit"
        return "interrupted"

    def _tick(self, planner: PlannerThread, now_us: int) -> None:
        with self._newest_lock:
            newest, self._newest = self._newest, None
        observation = None
        if newest is not None:
            observation = observation_from(newest[0], newest[2])
            self._record("observation", dataclasses.asdict(observation), now_us)
        solved = planner.take()
        if (refused := planner.take_refused()) is not None:
            self._record_model(refused[0], None, refused[1], now_us)
        if solved is not None:
            self._record_plan(solved, now_us)
        goals_before = self.core.progress.goals_reached
        tick = self.core.tick(now_us, observation, None if solved is None else solved.plan)
        # after the tick's inputs, before its commands: replay reads them in this order
        self._record(
            "drive",
            {
                "sensor_seq": None if observation is None else observation.seq,
                "plan_index": None if solved is None else solved.plan.index,
            },
            now_us,
        )
        if tick.decision is not None:
            self._command(tick.decision, newest, now_us)
        if tick.request is not None:
            planner.submit(tick.request)
        if self.core.progress.goals_reached != goals_before:
            reached = self.core.goals[goals_before]
            self._record("goal", {**dataclasses.asdict(reached), "state": "reached", "index": goals_before}, now_us)

    def _command(self, decision: Decision, newest: tuple[Sensor, int, int] | None, now_us: int) -> None:
        self._decision = decision
        left_wheel, right_wheel = decision.command.wheel_units()
        sent = self.link.command(left_wheel, right_wheel) if self.core.goals else None
        if newest is not None:
            self.times.reaction_us.append(self.clock.now_us() - newest[1])
        self._record(
            "command",
            {
                "left": decision.command.left,
                "right": decision.command.right,
                "left_wheel": left_wheel,
                "right_wheel": right_wheel,
                "source": decision.source.value,
                "plan_index": decision.plan_index,
                "plan_step": decision.plan_step,
                "cmd_seq": None if sent is None else sent.seq,
            },
            now_us,
        )

    def _record_plan(self, solved: Solved, now_us: int) -> None:
        if (takeover := solved.takeover) is not None:
            # before the plan: replay goes on with this bundle from here
            self._record_model(takeover.model, takeover.model_hash, None, now_us)
            self._model_hash = takeover.model_hash
        self.times.plan_us.append(solved.duration_us)
        value = dataclasses.asdict(solved.plan)
        self._record("plan", {**value, "duration_us": solved.duration_us}, now_us)

    def _record_model(self, model: str, model_hash: str | None, refused: str | None, now_us: int) -> None:
        self._record("model", {"model": model, "model_hash": model_hash, "refused": refused}, now_us)
        if self._on_note is not None:
            outcome = (
                f"takes over ({model_hash[:16]})" if model_hash else f"is refused, the old one drives on: {refused}"
            )
            self._on_note(f"model {model} {outcome}")

    def _record(self, channel: str, value: dict[str, object], now_us: int) -> None:
        if self._recorder is not None:
            self._recorder.event(channel, value, now_us)

    def _check_planner(self, planner: PlannerThread) -> None:
        if planner.error is not None:
            self.link.stop(StopReason.HOST_ERROR, wait=False)
            raise BridgeError(
                "planner-failed",
                f"the planner failed: {planner.error}",
                "check the model with: jepa-bridge eval, or drive with --model small",
                status=Exit.MODEL,
            ) from planner.error

    def _note(self, text: str) -> None:
        if self._on_note is not None:
            self._on_note(text)

    def _snapshot(self, elapsed_s: float) -> Snapshot:
        core = self.core
        return Snapshot(
            observation=core.observation,
            goal=core.goal,
            decision=self._decision,
            confidence=None if core.plan is None else core.plan.confidence,
            state=self.link.state,
            health=self.link.health(),
            stats=self.link.stats(),
            progress=dataclasses.replace(core.progress),
            plan_ms=quantile_ms(self.times.plan_us, 0.5),
            tick_ms=quantile_ms(self.times.tick_us, 0.99),
            elapsed_s=elapsed_s,
        )

    def _summary(self, hello: Hello, ended_by: str, duration_s: float) -> DriveSummary:
        core = self.core
        stats = self.link.stats()
        return DriveSummary(
            reached=bool(core.goals) and core.arrived,
            goals=tuple(
                {
                    "x_m": goal.x_m,
                    "y_m": goal.y_m,
                    "heading_rad": goal.heading_rad,
                    "reached": index < core.progress.goals_reached,
                    "distance_m": None if core.observation is None else round(goal.distance_m(core.observation), 3),
                }
                for index, goal in enumerate(core.goals)
            ),
            distance_m=round(core.progress.distance_m, 3),
            duration_s=round(duration_s, 3),
            contacts=core.progress.contacts if hello.capabilities & Capability.BUMP_SENSOR else None,
            plans=core.progress.plans,
            plans_gated=core.progress.plans_gated,
            log=None if self._recorder is None else str(self._recorder.path),
            model=self._model_hash,
            robot=hello.uid.hex(),
            link=dataclasses.asdict(stats),
            times_ms={
                "plan_median": quantile_ms(self.times.plan_us, 0.5),
                "plan_p99": quantile_ms(self.times.plan_us, 0.99),
                "tick_p99": quantile_ms(self.times.tick_us, 0.99),
                "reaction_p99": quantile_ms(self.times.reaction_us, 0.99),
            },
            ended_by=ended_by,
        )


def _described(hello: Hello) -> dict[str, str]:
    return {
        "uid": hello.uid.hex(),
        "boot_id": str(hello.boot_id),
        "board": hello.board,
        "firmware_version": hello.firmware_version,
        "protocol_version": str(hello.protocol_version),
        "schema_hash": hello.schema_hash.hex(),
        "reset_cause": hello.reset_cause.name.lower(),
        "range_max_mm": str(hello.range_max_mm),
        "wheel_max": str(hello.wheel_max),
    }
