"""The ESP32-S3's board on its USB port, with eight time-of-flight sensors and a gyro, the heap locked in a session."""

# ruff: noqa: E402 - MicroPython is told its path first

import sys

sys.path.insert(1, sys.path[0] + "/../../../firmware")

import fake_i2c
import fake_machine
import micropython

bus = fake_i2c.Bus()
parts = [fake_i2c.FakeVL53L1X() for _ in range(8)]
gyro = fake_i2c.FakeMPU6050()
bus.parts = [gyro]
bus.mux = fake_i2c.Mux(parts)
fake_machine.I2C = lambda *_, **__: bus
sys.modules["machine"] = fake_machine

from boards.esp32_s3 import Board
from loop import Loop


class Settings:
    RANGE_SENSORS = "vl53l1x"
    GYRO = "mpu6050"
    RANGE_OFFSETS_MM = (0, 0, 0, 0, 0, 0, 0, -5)


loop = Loop(Board([], Settings()))


def step():
    for i in range(8):
        parts[i].measure(400 + 100 * i)
    gyro.turn(1500)
    loop.step()


while not loop.session.frames_ok:
    step()
micropython.heap_lock()
while True:
    step()
