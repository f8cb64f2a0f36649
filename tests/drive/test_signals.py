"""What signal handlers call must take no lock: they run in the middle of whatever the main thread does."""

from __future__ import annotations

import threading

import pytest

from jepa_bridge.drive.run import DriveRun
from jepa_bridge.link import Clock
from jepa_bridge.plan.mppi import Planner
from jepa_bridge.types import Goal


class Silent:
    """A port on which nothing happens."""

    name = "silent"
    time_scale = 1.0
    unread = b""

    def read(self, timeout_s):
        return b""

    def write(self, data):
        return len(data)

    def close(self):
        pass


class World:
    embedding_dim = 8


@pytest.mark.parametrize("call", [DriveRun.interrupt, DriveRun.permit, lambda run: run.take_over("other")])
def test_a_handler_that_comes_while_the_loop_waits_does_not_hang(call):
    run = DriveRun(Silent(), Planner(World()), [Goal(1.0, 1.0)], model_hash="", clock=Clock(1.0))
    with run._wake._cond:  # as the main thread holds it within `wait`, where a handler may interrupt it
        handler = threading.Thread(target=call, args=(run,), daemon=True)
        handler.start()
        handler.join(5.0)
        assert not handler.is_alive()
