"""The drive core as a pure state machine: time and inputs in, commands out."""

from __future__ import annotations

import math

import pytest

from jepa_bridge.drive.core import DriveConfig, DriveCore, Source
from jepa_bridge.types import STANDSTILL, Goal, Observation, Plan

FREE = (2.0,) * 8


def seen(seq: int = 0, x_m: float = 1.0, y_m: float = 1.0, **more: object) -> Observation:
    values = {"ranges_m": FREE, "heading_rad": 0.0, **more}
    return Observation(seq=seq, t_us=seq * 20_000, x_m=x_m, y_m=y_m, **values)  # type: ignore[arg-type]


def plan_for(request, *, confidence: float = 0.9, first: tuple[float, float] = (0.5, 0.5)) -> Plan:
    actions = (first, *(((step + 1) / 20, (step + 1) / 20) for step in range(1, 10)))
    return Plan(request.index, request.observation.seq, request.observation.t_us, actions, 1.0, confidence, 0.2)


def planned_core(confidence: float = 0.9, **observation: object) -> tuple[DriveCore, Plan]:
    """A core at t = 10 ms with a plan made from the observation at t = 0."""
    core = DriveCore([Goal(4.0, 4.0)])
    request = core.tick(0, seen(**observation)).request
    assert request is not None
    plan = plan_for(request, confidence=confidence)
    core.tick(10_000, None, plan)
    return core, plan


def test_stands_until_the_first_plan():
    core = DriveCore([Goal(4.0, 4.0)])
    decision = core.tick(0).decision
    assert decision is not None
    assert (decision.source, decision.command) == (Source.BLIND, STANDSTILL)
    tick = core.tick(60_000, seen())
    assert tick.decision is not None
    assert (tick.decision.source, tick.decision.command) == (Source.NO_PLAN, STANDSTILL)
    assert tick.request is not None


def test_a_finished_plan_is_commanded_at_once_and_steps_with_time():
    core, plan = planned_core()
    for step in range(1, 4):
        now_us = step * 200_000 + 1
        decision = core.tick(now_us, seen(step)).decision
        assert decision is not None
        assert decision.source is Source.PLAN
        assert decision.plan_step == step
        assert (decision.command.left, decision.command.right) == plan.actions[step]


def test_commands_come_at_20_hz_whatever_wakes_the_loop():
    for wake_us in (7_000, 20_000, 25_000):
        core, _ = planned_core()
        wakes = range(60_000, 1_060_000, wake_us)
        due = [core.tick(now_us, seen(now_us // wake_us)).decision is not None for now_us in wakes]
        assert sum(due) == pytest.approx(20, abs=1), f"wakes every {wake_us} us"


def test_one_plan_at_a_time_and_five_a_second():
    core = DriveCore([Goal(4.0, 4.0)])
    first = core.tick(0, seen()).request
    assert first is not None
    assert core.tick(300_000, seen(1)).request is None  # the first is still being made
    second = core.tick(310_000, None, plan_for(first)).request
    assert second is not None
    assert (second.index, second.observation.seq) == (1, 1)
    # the observation is 300 ms younger than the one under the first plan: one and a half steps, rounded to even
    assert (second.previous is not None, second.shift_steps) == (True, 2)
    core.tick(330_000, None, plan_for(second))
    assert core.tick(400_000, seen(3)).request is None
    assert core.tick(511_000, seen(4)).request is not None


def test_a_late_plan_means_the_old_one_and_then_a_stop():
    core, plan = planned_core()
    decision = core.tick(900_000, seen(1)).decision
    assert decision is not None
    assert (decision.command.left, decision.command.right) == plan.actions[4]
    late = core.tick(1_000_001, seen(2)).decision
    assert late is not None
    assert (late.source, late.command) == (Source.LATE_PLAN, STANDSTILL)


def test_an_old_observation_stops_the_wheels():
    core, _ = planned_core()
    decision = core.tick(DriveConfig().observation_age_max_us + 1).decision
    assert decision is not None
    assert (decision.source, decision.command) == (Source.BLIND, STANDSTILL)


def test_below_the_gate_the_fallback_drives():
    core, _ = planned_core(confidence=0.49)
    decision = core.tick(60_000, seen(1)).decision
    assert decision is not None
    assert decision.source is Source.FALLBACK
    assert core.progress.plans_gated == 1


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_plan_that_is_not_of_finite_numbers_is_never_driven(broken):
    core = DriveCore([Goal(4.0, 4.0)])
    request = core.tick(0, seen()).request
    decision = core.tick(50_000, None, plan_for(request, first=(broken, 0.5))).decision
    assert decision is not None
    assert (decision.source, decision.command) == (Source.NO_PLAN, STANDSTILL)


def test_an_observation_that_is_not_of_finite_numbers_counts_as_none():
    core, _ = planned_core()
    decision = core.tick(300_000, seen(1, x_m=math.nan)).decision
    assert decision is not None
    assert decision.source is Source.BLIND


def test_goals_are_taken_in_order_and_a_plan_for_a_reached_goal_is_dropped():
    core = DriveCore([Goal(1.5, 1.0), Goal(4.0, 4.0)])
    request = core.tick(0, seen()).request
    assert request is not None
    core.tick(100_000, seen(1, x_m=1.4))
    assert core.progress.goals_reached == 1
    stale = core.tick(110_000, None, plan_for(request))
    assert stale.decision is not None
    assert stale.decision.source is Source.NO_PLAN
    assert stale.request is not None
    assert (stale.request.goal, stale.request.previous) == (Goal(4.0, 4.0), None)


def test_arrived_stands_and_plans_no_more():
    core = DriveCore([Goal(1.1, 1.0)])
    tick = core.tick(0, seen())
    assert core.arrived
    assert tick.decision is not None
    assert (tick.decision.source, tick.decision.command) == (Source.ARRIVED, STANDSTILL)
    assert tick.request is None


@pytest.mark.parametrize(("heading_deg", "reached"), [(0, True), (15, True), (345, True), (30, False), (180, False)])
def test_a_goal_with_heading_is_reached_only_when_facing_it(heading_deg, reached):
    core = DriveCore([Goal(1.0, 1.0, math.radians(heading_deg))])
    core.tick(0, seen())
    assert core.arrived is reached


def test_contacts_are_counted_once_while_they_last():
    core = DriveCore([Goal(4.0, 4.0)])
    for index, bump in enumerate([False, True, True, False, True, False]):
        core.tick(index * 100_000, seen(index, bump=bump))
    assert core.progress.contacts == 1
    core.tick(2_000_000, seen(50, bump=True))
    assert core.progress.contacts == 2


def test_distance_adds_up_along_the_path():
    core = DriveCore([Goal(4.0, 4.0)])
    for index, (x_m, y_m) in enumerate([(1, 1), (1, 2), (2, 2), (1, 2)]):
        core.tick(index * 100_000, seen(index, x_m=x_m, y_m=y_m))
    assert core.progress.distance_m == pytest.approx(3.0)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, 1.1, -7.0])
def test_a_plan_that_is_no_plan_stops_the_robot_at_once_and_does_not_let_the_old_one_drive_on(broken):
    core, _ = planned_core()
    request = core.tick(210_000, seen(1)).request
    assert request is not None
    decision = core.tick(230_000, None, plan_for(request, first=(0.5, broken))).decision
    assert decision is not None
    assert (decision.source, decision.command) == (Source.NO_PLAN, STANDSTILL)


@pytest.mark.parametrize(("silent", "share"), [(0, 1.0), (1, 0.8), (3, 0.4), (4, 0.2)])
def test_with_silent_sensors_it_drives_more_slowly(silent, share):
    core, plan = planned_core()
    ranges = (None,) * silent + FREE[silent:]
    decision = core.tick(200_001, seen(1, ranges_m=ranges)).decision
    assert decision is not None
    assert decision.command.left == pytest.approx(plan.actions[1][0] * share)


def test_with_most_sensors_silent_it_stands():
    core, _ = planned_core()
    decision = core.tick(200_001, seen(1, ranges_m=(None,) * 5 + FREE[5:])).decision
    assert decision is not None
    assert (decision.source, decision.command) == (Source.BLIND, STANDSTILL)
