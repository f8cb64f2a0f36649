"""The whole drive loop on a robot to break, with a planner that answers what a case wants."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self, cast

from jepa_bridge.drive.run import DriveRun
from jepa_bridge.errors import BridgeError
from jepa_bridge.faults.rig import Rig
from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.types import Goal, Plan

if TYPE_CHECKING:
    from jepa_bridge.plan.mppi import Planner
    from jepa_bridge.record import Recorder
    from jepa_bridge.types import Observation

STEPS = 10


class SteeredPlanner:
    """Full speed ahead, until it is told otherwise."""

    def __init__(self) -> None:
        self.config = MppiConfig()
        self.seed = 0
        self._wheel = 1.0
        self._free = threading.Event()
        self._free.set()
        self.answered_s = 0.0  # when it last answered with what it was told last

    def plan(self, observation: Observation, _goal: Goal, index: int, *_: object) -> Plan:
        """As the real one: from a request to a plan."""
        self._free.wait()
        actions = ((self._wheel, self._wheel),) * STEPS
        self.answered_s = time.monotonic()
        return Plan(index, observation.seq, observation.t_us, actions, 0.0, 0.9, self.config.step_s)

    def answer(self, wheel: float) -> float:
        """Plan this from now on; when it first did, monotonic s."""
        before_s = time.monotonic()
        self._wheel = wheel
        while self.answered_s < before_s and time.monotonic() < before_s + 2:
            time.sleep(0.001)
        return self.answered_s

    def hang(self) -> float:
        """Answer nothing any more; since when, monotonic s."""
        self._free.clear()
        return time.monotonic()

    def release(self) -> None:
        """Answer again."""
        self._free.set()


class Drive:
    """`DriveRun` on a thread, through a rig's proxy."""

    def __init__(self, rig: Rig | None = None, *, recorder: Recorder | None = None, **options: Any) -> None:
        self.rig = rig or Rig()
        self.planner = SteeredPlanner()
        self.notes: list[str] = []
        self.error: BridgeError | None = None
        self.run = DriveRun(
            self.rig.open(),
            cast("Planner", self.planner),
            [Goal(4.9, 4.9, radius_m=0.02)],
            model_hash="",
            recorder=recorder,
            on_note=self.notes.append,
            **options,
        )
        self._thread = threading.Thread(target=self._drive, name="drive", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.planner.release()
        self.run.interrupt()
        self._thread.join(10)
        self.rig.__exit__()

    def wait_full_speed(self) -> None:
        """Until it drives as fast as it can."""
        self.rig.wait_full_speed()

    def ended(self, timeout_s: float = 5.0) -> BridgeError | None:
        """Wait for the run's end; the error that ended it."""
        self._thread.join(timeout_s)
        return self.error

    def _drive(self) -> None:
        try:
            self.run.run()
        except BridgeError as error:
            self.error = error
