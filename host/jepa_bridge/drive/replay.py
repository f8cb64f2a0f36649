"""Feed a recording through the same code that drove, and compare the commands.

The wire frames become observations again, the recorded ticks say when the drive core was called and with what, and the
plans are computed anew. With the model of the recording every command must come out the same, bit for bit; with another
model the differences show where it would have decided otherwise (open loop: the robot goes where it went).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from jepa_bridge.drive.core import DriveConfig, DriveCore, PlanRequest, Tick
from jepa_bridge.drive.observe import observation_from
from jepa_bridge.drive.planning import solve
from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link import FrameError, TickUnwrapper, decode
from jepa_bridge.link.schema import Cmd, Sensor
from jepa_bridge.plan.compiled import make_planner
from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.types import Goal
from jepa_bridge.world.bundle import load_named
from jepa_bridge.world.device import ONE_THREAD, Device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jepa_bridge.record import Log, Record
    from jepa_bridge.types import Observation, Plan
    from jepa_bridge.world.bundle import World

SENSORS_KEPT = 500  # 10 s at 50 Hz: a tick names a frame that came in just before it


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a log says about the run it holds; `metadata` writes it, `read` reads it back."""

    goals: tuple[Goal, ...]
    drive: DriveConfig
    planner: MppiConfig
    seed: int
    model: str
    model_hash: str
    device: Device = ONE_THREAD

    def metadata(self) -> dict[str, str]:
        """As MCAP metadata: strings only."""
        return {
            "goals": json.dumps([asdict(goal) for goal in self.goals]),
            "drive": json.dumps(asdict(self.drive)),
            "planner": json.dumps(asdict(self.planner)),
            "seed": str(self.seed),
            "model": self.model,
            "model_hash": self.model_hash,
            "device": json.dumps(asdict(self.device)),
        }

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> RunSettings:
        """Raises BridgeError `log-not-a-drive` when the log was not written by a drive."""
        try:
            goals = [
                Goal(**{**goal, "ranges_m": goal["ranges_m"] and tuple(goal["ranges_m"])})
                for goal in json.loads(metadata["goals"])
            ]
            return cls(
                goals=tuple(goals),
                drive=DriveConfig(**json.loads(metadata["drive"])),
                planner=MppiConfig(**json.loads(metadata["planner"])),
                seed=int(metadata["seed"]),
                model=metadata["model"],
                model_hash=metadata["model_hash"],
                device=Device(**json.loads(metadata.get("device", "{}"))),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BridgeError(
                "log-not-a-drive",
                f"this log does not say how its run was set up ({error!r})",
                "expected a log that `jepa-bridge --port ...` wrote; `jepa-bridge log info LOG` shows what it holds",
                status=Exit.LOG,
            ) from error


@dataclass(slots=True)
class ReplayReport:
    """Counts of one replay. `different` and `first_difference` are about commands."""

    model_recorded: str
    model_used: str
    ticks: int = 0
    observations: int = 0
    plans: int = 0
    plans_different: int = 0
    commands: int = 0
    different: int = 0
    difference_sum: float = 0.0  # of the larger wheel's difference, in [-1, 1] units
    first_difference: dict[str, Any] | None = None
    wire_compared: int = 0  # CMD frames on the wire held against the recomputed command
    wire_different: int = 0
    missing: list[str] = field(default_factory=list)  # what the log lacks for an exact replay
    sources: dict[str, int] = field(default_factory=dict)  # commands by Source
    distance_m: float = 0.0
    contacts: int = 0
    goals: int = 0
    goals_reached: int = 0
    duration_s: float = 0.0

    @property
    def same(self) -> bool:
        """Whether the replay proves that the same code and model give the same commands."""
        return self.commands > 0 and not (self.different or self.wire_different or self.missing)


class Replay:
    """Replays one log; `run` returns the report."""

    def __init__(self, log: Log, world: World, settings: RunSettings | None = None) -> None:
        self._log = log
        self.settings = settings or RunSettings.read(log.metadata.get("run", {}))
        self._planner = make_planner(world, self.settings.planner, self.settings.seed, self.settings.device)
        self._follow = world.hash == self.settings.model_hash  # another bundle than the one that drove plans throughout
        self._core = DriveCore(self.settings.goals, self.settings.drive)
        self._unwrapper = TickUnwrapper()
        self._sensors: dict[int, Observation] = {}
        self._request: PlanRequest | None = None
        self._plan: Plan | None = None
        self._tick: Tick | None = None
        self._wheels_by_seq: dict[int, tuple[int, int]] = {}  # recomputed, waiting for the frame
        self._frames_by_seq: dict[int, tuple[int, int]] = {}  # on the wire, waiting for the recomputed one
        self.report = ReplayReport(self.settings.model_hash, world.hash, goals=len(self.settings.goals))

    def run(self) -> ReplayReport:
        """Feed every record through the drive core."""
        first_us: int | None = None
        for record in self._log.records():
            self._feed(record)
            first_us = record.t_us if first_us is None else first_us
            self.report.duration_s = (record.t_us - first_us) / 1e6
        progress = self._core.progress
        self.report.distance_m = round(progress.distance_m, 3)
        self.report.contacts = progress.contacts
        self.report.goals_reached = progress.goals_reached
        if self.report.commands == 0:
            self._lacks("no command was recorded")
        return self.report

    def _feed(self, record: Record) -> None:
        if record.channel in ("wire/device", "wire/host"):
            self._on_frame(record.data)
        elif record.channel == "drive":
            self._on_tick(json.loads(record.data), record.t_us)
        elif record.channel == "command":
            self._on_command(json.loads(record.data), record.t_us)
        elif record.channel == "model":
            self._on_model(json.loads(record.data))
        elif record.channel == "plan":
            self._on_plan(json.loads(record.data))
        elif record.channel == "recorder":
            dropped = json.loads(record.data)
            if dropped.get("dropped_wire") or dropped.get("dropped_derived"):
                self._lacks("the recorder could not keep up and dropped messages")

    def _on_frame(self, body: bytes) -> None:
        try:
            message = decode(body)
        except FrameError:
            return self._lacks("a recorded frame does not decode")
        if isinstance(message, Sensor):
            device_t_us = self._unwrapper.unwrap(message.t_us)
            self._sensors[message.seq] = observation_from(message, device_t_us)
            if len(self._sensors) > SENSORS_KEPT:
                del self._sensors[next(iter(self._sensors))]
        elif isinstance(message, Cmd):
            self._frames_by_seq[message.seq] = (message.left_wheel, message.right_wheel)
            self._compare_wire(message.seq)
        return None

    def _on_model(self, recorded: dict[str, Any]) -> None:
        """Another bundle took over: go on with that one, if it still is what it was."""
        if recorded["model_hash"] is None or not self._follow:
            return None
        try:
            world = load_named(recorded["model"])
        except BridgeError as error:
            return self._lacks(f"the bundle that took over cannot be loaded: {error.message}")
        if world.hash != recorded["model_hash"]:
            return self._lacks(f"the bundle {recorded['model']} that took over has changed since")
        self._planner = make_planner(world, self.settings.planner, self.settings.seed, self.settings.device)
        return None

    def _on_plan(self, recorded: dict[str, Any]) -> None:
        request = self._request
        if request is None or request.index != recorded["index"]:
            return self._lacks(f"plan {recorded['index']} was not asked for in the replay")
        self._plan = solve(self._planner, request, recorded.get("iterations") or None)
        self.report.plans += 1
        self.report.plans_different += [list(action) for action in self._plan.actions] != recorded["actions"]
        return None

    def _on_tick(self, recorded: dict[str, Any], now_us: int) -> None:
        self.report.ticks += 1
        observation = None
        if (seq := recorded["sensor_seq"]) is not None:
            observation = self._sensors.get(seq)
            self.report.observations += 1
            if observation is None:
                self._lacks(f"SENSOR frame {seq} is not in the log")
        plan, self._plan = (self._plan, None) if recorded["plan_index"] is not None else (None, self._plan)
        self._tick = self._core.tick(now_us, observation, plan)
        if self._tick.request is not None:
            self._request = self._tick.request

    def _on_command(self, recorded: dict[str, Any], t_us: int) -> None:
        decision = None if self._tick is None else self._tick.decision
        self._tick = None
        if decision is None:
            return self._lacks("a command was recorded at a tick where the replay gives none")
        report = self.report
        report.commands += 1
        report.sources[decision.source.value] = report.sources.get(decision.source.value, 0) + 1
        difference = max(abs(decision.command.left - recorded["left"]), abs(decision.command.right - recorded["right"]))
        if difference or decision.source.value != recorded["source"]:
            report.different += 1
            report.difference_sum += difference
            if report.first_difference is None:
                report.first_difference = {
                    "t_us": t_us,
                    "recorded": [recorded["left"], recorded["right"], recorded["source"]],
                    "replayed": [decision.command.left, decision.command.right, decision.source.value],
                }
        if recorded["cmd_seq"] is not None:
            self._wheels_by_seq[recorded["cmd_seq"]] = decision.command.wheel_units()
            self._compare_wire(recorded["cmd_seq"])
        return None

    def _compare_wire(self, seq: int) -> None:
        if seq in self._wheels_by_seq and seq in self._frames_by_seq:
            self.report.wire_compared += 1
            self.report.wire_different += self._wheels_by_seq.pop(seq) != self._frames_by_seq.pop(seq)

    def _lacks(self, what: str) -> None:
        if what not in self.report.missing and len(self.report.missing) < 20:
            self.report.missing.append(what)
