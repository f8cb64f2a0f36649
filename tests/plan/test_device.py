"""Devices are chosen by what plans take on them; the clock here is made up."""

from __future__ import annotations

import pytest

from jepa_bridge.plan.device import devices, fastest_device
from jepa_bridge.plan.mppi import MppiConfig
from jepa_bridge.world.device import CPU, Device

CUDA, TENSORRT = Device("CUDAExecutionProvider"), Device("TensorrtExecutionProvider")


class Shop:
    """Makes planners that take as long as they are told, by its own clock."""

    def __init__(self, takes_s):
        self.takes_s = takes_s
        self.now = 0.0

    def make(self, _world, _config, device):
        taken = self.takes_s[device]
        if taken is None:
            raise RuntimeError("the driver is missing")
        shop = self

        class Timed:
            def plan(self, *_):
                shop.now += taken

        return Timed()

    def fastest(self):
        return fastest_device(None, MppiConfig(), among=list(self.takes_s), make=self.make, now_s=lambda: self.now)


def test_only_threads_that_there_are_cores_for_and_only_providers_that_are_there():
    assert devices([CPU], 1) == [Device()]
    assert devices([CPU], 3) == [Device(), Device(threads=2)]
    assert devices([CPU, "AzureExecutionProvider"], 8) == [Device(), Device(threads=2), Device(threads=4)]
    assert devices([CPU, CUDA.provider, TENSORRT.provider], 1) == [Device(), TENSORRT, CUDA]


@pytest.mark.parametrize(
    ("takes_s", "chosen"),
    [
        ({Device(): 0.003, Device(threads=2): 0.004}, Device()),
        ({Device(): 0.003, Device(threads=2): 0.0029}, Device()),  # not worth a core
        ({Device(): 0.003, Device(threads=2): 0.002}, Device(threads=2)),
        ({Device(): 0.003, Device(threads=2): 0.002, CUDA: 0.001}, CUDA),
        ({Device(): 0.003, CUDA: 0.010}, Device()),
        ({Device(): 0.003, TENSORRT: None, CUDA: 0.001}, CUDA),
        ({Device(): 0.003, CUDA: None}, Device()),
    ],
)
def test_the_fastest_is_taken_if_it_works_and_is_clearly_faster(takes_s, chosen):
    assert Shop(takes_s).fastest() == chosen
