"""A planner that is too slow: it searches less, and what comes too late all the same is not driven."""

from __future__ import annotations

import dataclasses
import json
import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from jepa_bridge.drive.core import DriveConfig, DriveCore, Source
from jepa_bridge.drive.observe import observation_from
from jepa_bridge.drive.pace import DEADLINE_US, Pace
from jepa_bridge.drive.planning import PlannerThread, solve
from jepa_bridge.drive.replay import Replay, RunSettings
from jepa_bridge.link import encode
from jepa_bridge.link.schema import Sensor
from jepa_bridge.plan.mppi import MppiConfig, Planner
from jepa_bridge.record import Record
from jepa_bridge.types import Goal
from jepa_bridge.world.vector import observation_vector

GOAL = Goal(2.0, 1.5)
FIXED_US, ITERATION_US = 500, 4_000  # a plan of five iterations takes 20.5 ms: a Pi at ease
SENSOR_US, LOOP_US = 20_000, 5_000


class FlatWorld:
    """Perfect wheels on an endless plane; the embedding is x, y, cosine, sine."""

    embedding_dim = 4
    hash = "flat"

    def __init__(self, confidence=0.9):
        self.confidence = confidence

    def encode(self, vectors):
        turn = vectors[:, 10] * 2 * np.pi
        return np.stack((vectors[:, 8] * 5, vectors[:, 9] * 5, np.cos(turn), np.sin(turn)), axis=1).astype(np.float32)

    def start(self, observation):
        return self.encode(observation_vector(observation)[None])

    def predict(self, embeddings, actions):
        x, y, cosine, sine = embeddings.T
        heading = np.arctan2(sine, cosine) + 0.625 * (actions[:, 1] - actions[:, 0])
        forward = 0.05 * (actions[:, 0] + actions[:, 1])
        after = np.stack((x + forward * cosine, y + forward * sine, np.cos(heading), np.sin(heading)), axis=1)
        return after.astype(np.float32), np.full((len(after), 1), self.confidence, np.float32)

    def readout(self, embeddings):
        ranges = np.ones((len(embeddings), 8), np.float32)
        return np.concatenate((ranges, embeddings[:, :2] / 5, embeddings[:, 2:]), axis=1).astype(np.float32)


class Run:
    """The live loop of drive/run.py in made-up time, with a planner that takes what it is told to take."""

    def __init__(self, slowness, *, confidence=0.9, seconds=12.0):
        self.world = FlatWorld(confidence)
        self.config = MppiConfig(samples=16)
        self.planner = Planner(self.world, self.config, seed=1)
        self.slowness = slowness
        self.core = DriveCore([GOAL])
        self.pace = Pace()
        self.decisions, self.plans, self.late_us, self.records = [], [], [], []
        self.x, self.y, self.heading = 1.0, 1.0, 2.5
        self._drive(round(seconds * 1e6))

    def _drive(self, end_us):
        wheels, ready_us, solved, observed_us = (0.0, 0.0), 0, None, {}
        for now_us in range(0, end_us, LOOP_US):
            observation = plan = None
            if now_us % SENSOR_US == 0:
                sensor = self._sense(now_us)
                observation = observation_from(sensor, now_us)
                observed_us[observation.seq] = now_us
                self.records.append(Record("wire/device", now_us, encode(sensor)))
            if solved is not None and now_us >= ready_us:
                plan, solved = solved, None
                self.plans.append((now_us - observed_us[plan.observation_seq], plan.iterations))
                self._event("plan", dataclasses.asdict(plan), now_us)
            tick = self.core.tick(now_us, observation, plan)
            seen = {"sensor_seq": observation and observation.seq, "plan_index": plan and plan.index}
            self._event("drive", seen, now_us)
            if (decision := tick.decision) is not None:
                wheels = decision.command.left, decision.command.right
                self.decisions.append((now_us, decision))
                seen = {"left": wheels[0], "right": wheels[1], "source": decision.source.value, "cmd_seq": None}
                self._event("command", seen, now_us)
            if tick.request is not None:
                solved = solve(self.planner, tick.request, self.pace.iterations(self.config.iterations))
                taken_us = self.slowness * (FIXED_US + ITERATION_US * solved.iterations)
                self.pace.took(solved.iterations, taken_us)
                ready_us = now_us + taken_us
            self.x += 0.25 * sum(wheels) * math.cos(self.heading) * LOOP_US / 1e6
            self.y += 0.25 * sum(wheels) * math.sin(self.heading) * LOOP_US / 1e6
            self.heading = math.remainder(self.heading + 3.125 * (wheels[1] - wheels[0]) * LOOP_US / 1e6, math.tau)

    def _sense(self, now_us):
        pose = round(self.x * 1000), round(self.y * 1000), round(self.heading * 1000)
        return Sensor(now_us // SENSOR_US, 1, now_us, (2000,) * 8, (0,) * 8, *pose, 0, 0, 0, 0, None, 0)

    def _event(self, channel, value, now_us):
        self.records.append(Record(channel, now_us, json.dumps(value).encode()))

    def sources(self):
        return {decision.source for _, decision in self.decisions}


def test_at_ease_every_plan_is_searched_to_the_end():
    run = Run(1)
    assert {iterations for _, iterations in run.plans} == {5}
    assert run.core.arrived


def test_ten_times_slower_searches_less_and_still_drives_there_on_time():
    run = Run(10)
    assert run.plans[0][1] == 5  # nobody knew
    assert {iterations for _, iterations in run.plans[1:]} == {2}
    assert all(age_us <= DEADLINE_US for age_us, _ in run.plans[1:])
    assert run.core.arrived
    assert run.sources() == {Source.NO_PLAN, Source.PLAN, Source.ARRIVED}
    times_us = [now_us for now_us, _ in run.decisions]
    assert max(np.diff(times_us)) <= DriveConfig().command_period_us  # the loop never waited


def test_where_even_one_iteration_is_late_the_old_plan_drives_on():
    run = Run(100)
    assert {iterations for _, iterations in run.plans[1:]} == {1}
    assert Source.PLAN in run.sources()
    assert run.core.progress.distance_m > 0.3


def test_a_plan_that_comes_after_its_time_is_not_driven():
    run = Run(400)  # 1.8 s an iteration
    assert len(run.plans) >= 2
    assert run.sources() == {Source.NO_PLAN, Source.LATE_PLAN}
    assert all((decision.command.left, decision.command.right) == (0.0, 0.0) for _, decision in run.decisions)
    assert run.core.progress.distance_m == 0.0


def test_slow_and_unsure_is_the_fallbacks_turn():
    run = Run(10, confidence=0.3)
    assert run.sources() == {Source.NO_PLAN, Source.FALLBACK, Source.ARRIVED}
    assert run.core.arrived


@pytest.mark.parametrize("slowness", [1, 10, 100])
def test_a_replay_searches_as_long_as_the_run_did(slowness):
    run = Run(slowness, seconds=4.0)
    settings = RunSettings((GOAL,), DriveConfig(), run.config, 1, "flat", FlatWorld.hash)

    log = SimpleNamespace(metadata={"run": settings.metadata()}, records=lambda: iter(run.records))
    report = Replay(log, run.world).run()
    assert report.plans >= 4
    assert (report.plans_different, report.different, report.missing) == (0, 0, [])
    assert report.commands == len(run.decisions)


def test_a_moment_of_slowness_is_forgotten_in_a_few_plans():
    pace = Pace(100_000)
    assert pace.iterations(5) == 5
    for _ in range(3):
        pace.took(5, 20_000)
    pace.took(5, 400_000)  # something else took the machine
    counts = []
    for _ in range(6):
        counts.append(pace.iterations(5))
        pace.took(counts[-1], 4_000 * counts[-1])
    assert counts == [1, 2, 4, 5, 5, 5]


def test_the_planner_thread_keeps_to_the_deadline():
    class SlowClock:
        us = 0

        def now_us(self):
            return self.us

    clock, done = SlowClock(), threading.Event()
    inner = Planner(FlatWorld(), MppiConfig(samples=4), seed=1)

    class SlowPlanner:
        config, seed, world = inner.config, inner.seed, inner.world

        def plan(self, observation, goal, index, warm_start, iterations=None):
            clock.us += 40_000 * iterations
            return inner.plan(observation, goal, index, warm_start, iterations)

    core = DriveCore([GOAL])
    thread = PlannerThread(SlowPlanner(), clock, done.set, deadline_us=100_000)
    try:
        found, plan = [], None
        for index in range(3):
            sensor = Sensor(index, 1, 0, (2000,) * 8, (0,) * 8, 1000, 1000, 0, 0, 0, 0, 0, None, 0)
            request = core.tick(clock.us + 200_000 * index, observation_from(sensor, 0), plan).request
            thread.submit(request)
            assert done.wait(10)
            done.clear()
            solved = thread.take()
            plan = solved.plan
            found.append((plan.iterations, solved.duration_us))
        assert found == [(5, 200_000), (2, 80_000), (2, 80_000)]
    finally:
        thread.close()
