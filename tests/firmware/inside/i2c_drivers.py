"""Run the I2C drivers against fake parts; for test_firmware_drivers.py. Polling is done with the heap locked."""

# ruff: noqa: E402 - MicroPython is told its path first, and has no pathlib

import json
import sys
import time
from array import array

here = __file__.rpartition("/")[0]
sys.path[1:1] = [sys.argv[1], here]

import fake_machine
import micropython

sys.modules["machine"] = fake_machine

from drivers.mpu6050 import Gyro
from drivers.tca9548a import Mux
from drivers.tof_ring import TofRing, wake_in_turn
from drivers.vl53l0x import VL53L0X
from drivers.vl53l1x import VL53L1X
from fake_i2c import Bus, FakeMPU6050, FakeVL53L0X, FakeVL53L1X
from fake_i2c import Mux as FakeMux
from odometry import Odometry
from robot import Robot

MASK = 0x3FFFFFFF
KINDS = {"vl53l0x": (VL53L0X, FakeVL53L0X), "vl53l1x": (VL53L1X, FakeVL53L1X)}


class Settings:
    RANGE_OFFSETS_MM = (0, 10, -10, 0, 0, 0, 0, 0)
    RANGE_BEARINGS_DEG = (180, 45, -45, 90, -90, 135, -135, 0)  # front and back swapped


class Pins:
    """An XSHUT line that its part feels."""

    IN = 0

    def __init__(self, part):
        self.part = part
        part.awake = False

    def value(self, level):
        self.part.awake = bool(level)

    def init(self, _mode):
        self.part.awake = True


class Ring:
    def __init__(self, kind, on, absent=()):
        driver, fake = KINDS[kind]
        self.bus = Bus()
        self.parts = [fake() for _ in range(8)]
        fitted = [None if i in absent else part for i, part in enumerate(self.parts)]
        sensors = [driver(self.bus) for _ in range(8)]
        mux = None
        if on == "mux":
            self.bus.mux = FakeMux(fitted)
            mux = Mux(self.bus)
        else:
            self.bus.parts = [part for part in fitted if part is not None]
            wake_in_turn(sensors, [Pins(part) for part in self.parts])
        self.now = time.ticks_us() & MASK
        self.ranges = array("i", [-1] * 8)
        self.stamps = array("i", [self.now] * 8)
        self.ring = TofRing(sensors, mux, Robot(Settings()), self.ranges, self.stamps)
        self.most = 0

    def poll(self, passes, step_us=1000):
        for _ in range(passes):
            self.now = (self.now + step_us) & MASK
            before = self.bus.transfers
            self.ring.poll(self.now)
            self.most = max(self.most, self.bus.transfers - before)


def locked(work):
    micropython.heap_lock()
    try:
        work()
    finally:
        micropython.heap_unlock()


def ranging(kind, on):
    ring = Ring(kind, on, absent=(5,))
    told = {"collisions": ring.bus.collisions, "addresses": [part.address for part in ring.parts]}
    for i, part in enumerate(ring.parts):
        part.measure(300 + 100 * i)
    locked(lambda: ring.poll(30))
    told["ranges"] = list(ring.ranges)
    told["most_transfers"] = ring.most
    locked(lambda: ring.poll(300))  # no news from anybody
    told["silent"] = list(ring.ranges)
    bad = (9, 4, 7, 2, 12) if kind == "vl53l1x" else (11, 4, 6, 2, 8)
    for i, status in enumerate(bad):
        ring.parts[i].measure(1234, status)
    locked(lambda: ring.poll(30))
    told["by_status"] = list(ring.ranges)[:5]
    ring.parts[1].awake = False  # its cable fell off
    ring.poll(60)
    told["unplugged"] = ring.ranges[1]
    ring.parts[1].awake = True
    ring.parts[1].measure(500)
    for _ in range(40):
        ring.parts[1].measure(500)
        ring.poll(30)
    told["plugged"] = ring.ranges[1]
    told["errors"] = ring.ring.errors
    if kind == "vl53l1x":
        told["period"] = ring.parts[0].period()
        told["budget"] = list(ring.parts[0].data[0x5E:0x60]) + list(ring.parts[0].data[0x61:0x63])
    else:
        told["spads"] = list(ring.parts[0].data[0xB0:0xB6])
    return told


class World:
    """A gyro and encoders on one clock; wheels of 3000 ticks a metre, 160 mm apart."""

    def __init__(self, zero_milli_deg_s, share=15):
        self.part = FakeMPU6050()
        bus = Bus()
        bus.parts = [self.part]
        self.gyro = Gyro(bus)
        self.zero = zero_milli_deg_s
        self.now = time.ticks_us() & MASK
        self.ticks = array("i", [0, 0])
        self.odometry = Odometry((160000, 3000, 2000), (0, 0, 0), self.gyro, share)

    def run(self, updates, milli_deg_s=0, left=0, right=0):
        for _ in range(updates):
            for _ in range(4):  # 200 Hz
                self.now = (self.now + 5000) & MASK
                self.part.turn(milli_deg_s + self.zero)
                self.gyro.poll(self.now)
            self.ticks[0] += left
            self.ticks[1] += right
            self.odometry.update(self.ticks, self.now)


def heading():
    told = {}
    world = World(2500)
    locked(lambda: world.run(100))  # 2 s of rest: the zero is found
    told["valid"] = world.gyro.valid
    locked(lambda: world.run(2000))
    told["after_40_s_of_rest"] = world.odometry.heading_mrad()
    # a quarter turn in 1 s; the wheels slip and count twice as much
    locked(lambda: world.run(50, 90000, -15, 15))  # 3.125 rad, say the wheels: 1500 / 0.16 / 3000
    told["slipping_quarter"] = world.odometry.heading_mrad()
    told["x_y"] = [world.odometry.x_mm(), world.odometry.y_mm()]
    world.part.awake = False
    world.run(5)
    told["lost"] = world.gyro.valid
    before = world.odometry.heading_mrad()
    world.run(50, 0, -7, 7)
    told["wheels_alone"] = world.odometry.heading_mrad() - before
    return told


class Strange:
    """Another part at the address of the first."""

    def told(self):
        bus = Bus()
        part = FakeVL53L1X()
        part.data[0x110] = 0xCD
        bus.parts = [part]
        try:
            VL53L1X(bus).start()
        except OSError as error:
            return str(error)


print(
    json.dumps(
        {
            "vl53l0x mux": ranging("vl53l0x", "mux"),
            "vl53l0x xshut": ranging("vl53l0x", "xshut"),
            "vl53l1x mux": ranging("vl53l1x", "mux"),
            "vl53l1x xshut": ranging("vl53l1x", "xshut"),
            "heading": heading(),
            "strange": Strange().told(),
        }
    )
)
