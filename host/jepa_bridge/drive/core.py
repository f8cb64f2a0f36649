"""The drive core: a pure state machine from observations, finished plans and clock readings to wheel commands.

The live loop calls `tick` and records what it passed in; replay calls `tick` with what was recorded. Nothing in here
reads a clock, draws a random number or waits, so the same inputs give the same commands bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jepa_bridge.plan.reactive import BLIND_READINGS, Reactive
from jepa_bridge.types import STANDSTILL, Goal, Observation, Plan, WheelCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

WHEEL_MAX = 1.0 + 1e-5  # averages of float32 actions within -1..1 may round to a little more


@dataclass(frozen=True, slots=True)
class DriveConfig:
    """Timing and thresholds of the control loop."""

    command_period_us: int = 50_000  # 20 Hz: three commands fit into one expiry of 150 ms
    plan_period_us: int = 200_000  # 5 Hz, one action of the plan
    observation_age_max_us: int = 250_000  # older than this the robot is driving blind: stop
    # A plan that is not replaced is followed this long: beyond a second the world has changed too much.
    plan_age_max_us: int = 1_000_000
    confidence_min: float = 0.5  # below it the plan is not driven: the fallback is
    heading_tolerance_rad: float = math.radians(20)
    contact_gap_us: int = 500_000  # touches closer together than this are one contact


class Source(StrEnum):
    """Why the wheels got the command they got."""

    PLAN = "plan"
    FALLBACK = "fallback"  # the plan's confidence is below the gate
    NO_PLAN = "no-plan"  # none yet: standing
    LATE_PLAN = "late-plan"  # the planner did not deliver: stopped
    BLIND = "blind"  # no recent observation, one not of finite numbers, or too few range sensors: stopped
    ARRIVED = "arrived"  # no goal left: standing


@dataclass(frozen=True, slots=True)
class Decision:
    """One wheel command and where it came from."""

    command: WheelCommand
    source: Source
    plan_index: int | None = None
    plan_step: int | None = None


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """Everything that a plan is a function of, besides the model and the seed."""

    index: int
    observation: Observation
    goal: Goal
    previous: Plan | None  # its actions, shifted by `shift_steps`, warm-start the new plan
    shift_steps: int


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick asks for: a command to send (if one is due) and a plan to start (if one is due)."""

    decision: Decision | None
    request: PlanRequest | None


@dataclass(slots=True)
class Progress:
    """What the run has come to so far."""

    goals_reached: int = 0
    distance_m: float = 0.0
    contacts: int = 0
    plans: int = 0
    plans_gated: int = 0  # below the confidence gate


class DriveCore:
    """Observe, plan, gate, command. Call `tick` with non-decreasing times."""

    def __init__(self, goals: Sequence[Goal], config: DriveConfig | None = None) -> None:
        self.config = config or DriveConfig()
        self.goals = tuple(goals)
        self.progress = Progress()
        self.observation: Observation | None = None
        self.plan: Plan | None = None
        self._observed_us = 0
        self._plan_started_us = 0  # when the observation under `plan` came in
        self._pending: PlanRequest | None = None
        self._pending_us = 0
        self._next_plan_us = 0
        self._next_command_us = 0
        self._plan_index = 0
        self._touched_us: int | None = None
        self._fallback = Reactive()

    @property
    def goal(self) -> Goal | None:
        """The goal being driven to; None when all are reached."""
        return self.goals[self.progress.goals_reached] if self.progress.goals_reached < len(self.goals) else None

    @property
    def arrived(self) -> bool:
        """Whether every goal has been reached."""
        return self.goal is None

    def tick(self, now_us: int, observation: Observation | None = None, plan: Plan | None = None) -> Tick:
        """Take in what is new since the last tick, and say what is due now."""
        if observation is not None:
            self._observe(observation, now_us)
        if plan is not None:
            self._adopt(plan)
        decision = None
        if now_us >= self._next_command_us or plan is not None:
            # by the schedule, not by when the loop woke, or a 50 Hz loop would command at 16.7 Hz
            self._next_command_us += self.config.command_period_us
            if self._next_command_us <= now_us or plan is not None:
                self._next_command_us = now_us + self.config.command_period_us
            decision = self._decide(now_us)
        return Tick(decision, self._request(now_us))

    def _observe(self, observation: Observation, now_us: int) -> None:
        pose = (observation.x_m, observation.y_m, observation.heading_rad)
        if not all(math.isfinite(value) for value in pose):
            return  # an observation that is not of finite numbers counts as none: the age limit stops the wheels
        if self.observation is not None:
            self.progress.distance_m += math.hypot(
                observation.x_m - self.observation.x_m, observation.y_m - self.observation.y_m
            )
        if observation.bump:
            if self._touched_us is None or now_us - self._touched_us > self.config.contact_gap_us:
                self.progress.contacts += 1
            self._touched_us = now_us
        self._fallback.see(observation)
        self.observation = observation
        self._observed_us = now_us
        if (goal := self.goal) is not None and self._reached(goal, observation):
            self.progress.goals_reached += 1
            self.plan = None  # it led to the old goal
            self._next_plan_us = now_us

    def _reached(self, goal: Goal, observation: Observation) -> bool:
        if goal.distance_m(observation) > goal.radius_m:
            return False
        if goal.heading_rad is None:
            return True
        error_rad = goal.heading_rad - observation.heading_rad
        return abs(math.atan2(math.sin(error_rad), math.cos(error_rad))) <= self.config.heading_tolerance_rad

    def _adopt(self, plan: Plan) -> None:
        request, self._pending = self._pending, None
        if request is None or request.index != plan.index or request.goal != self.goal:
            return  # made for a goal that has been reached meanwhile
        if not _drivable(plan):
            self.plan = None  # what made it made the old one too: stand until there is a sound one
            return
        self.progress.plans += 1
        self.progress.plans_gated += plan.confidence < self.config.confidence_min
        self.plan = plan
        self._plan_started_us = self._pending_us

    def _request(self, now_us: int) -> PlanRequest | None:
        goal, observation = self.goal, self.observation
        if self._pending is not None or goal is None or observation is None or now_us < self._next_plan_us:
            return None
        if now_us - self._observed_us > self.config.observation_age_max_us:
            return None
        shift = 0
        if self.plan is not None:
            shift = round((self._observed_us - self._plan_started_us) / _step_us(self.plan))
        self._pending = PlanRequest(self._plan_index, observation, goal, self.plan, shift)
        self._pending_us = self._observed_us
        self._plan_index += 1
        self._next_plan_us = now_us + self.config.plan_period_us
        return self._pending

    def _decide(self, now_us: int) -> Decision:
        goal, observation, plan = self.goal, self.observation, self.plan
        if goal is None:
            return Decision(STANDSTILL, Source.ARRIVED)
        if observation is None or now_us - self._observed_us > self.config.observation_age_max_us:
            return Decision(STANDSTILL, Source.BLIND)
        if plan is None:
            return Decision(STANDSTILL, Source.NO_PLAN)
        age_us = now_us - self._plan_started_us
        step = age_us // _step_us(plan)
        if age_us > self.config.plan_age_max_us or step >= len(plan.actions):
            return Decision(STANDSTILL, Source.LATE_PLAN, plan.index)
        if plan.confidence < self.config.confidence_min:
            return Decision(self._fallback.command(observation, goal), Source.FALLBACK, plan.index, step)
        left, right = plan.actions[step]
        silent = sum(range_m is None for range_m in observation.ranges_m)
        if silent >= BLIND_READINGS:
            return Decision(STANDSTILL, Source.BLIND)
        if silent:  # the fewer sensors see, the slower
            left, right = (value * (BLIND_READINGS - silent) / BLIND_READINGS for value in (left, right))
        return Decision(WheelCommand(left, right), Source.PLAN, plan.index, step)


def _drivable(plan: Plan) -> bool:
    """Whether it is of finite numbers, and of wheel commands that exist."""
    wheels = [value for action in plan.actions for value in action]
    return math.isfinite(plan.confidence) and all(abs(value) <= WHEEL_MAX for value in wheels)  # NaN compares false


def _step_us(plan: Plan) -> int:
    # whole microseconds: a float quotient puts the step's boundary now on this side, now on that
    return round(plan.step_s * 1e6)
