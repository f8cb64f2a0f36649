"""What the boards with an ESP32 have in common: parts by the settings, on the pins of a board's file.

A board's file is a table of pins, read here, by the documentation's test and by `jepa-bridge flash`. A part that it has
no pins for cannot be asked for: then the program ends at the prompt, and says so, before anything moves. Nothing here
has been measured on hardware.
"""

import os
import time
from array import array

import machine
from machine import ADC, Pin
from micropython import const

from drivers.encoders import encoder
from robot import Robot
from schema import (
    CAPABILITY_BATTERY_SENSOR, CAPABILITY_BUMP_SENSOR, CAPABILITY_HARDWARE_WATCHDOG, RESET_CAUSE_DEEP_SLEEP,
    RESET_CAUSE_EXTERNAL, RESET_CAUSE_POWER_ON, RESET_CAUSE_SOFTWARE, RESET_CAUSE_UNKNOWN, RESET_CAUSE_WATCHDOG,
)

_WATCHDOG_MS = const(1000)
_CLOCK_MASK = const(0x3FFFFFFF)
_PROMPT_MS = const(400)  # after a reset Ctrl-C still ends the program: how `jepa-bridge flash` gets to the prompt
_I2C_HZ = const(400000)
_I2C_TIMEOUT_US = const(2000)  # a line that is held down costs this, and not the 50 ms of the default
_L298N_PWM_HZ = const(2000)  # its transistors are slow: at 20 kHz little voltage is left


def _reset_cause():
    # a brownout looks like power-on: MicroPython does not tell them apart
    return {
        machine.PWRON_RESET: RESET_CAUSE_POWER_ON,
        machine.HARD_RESET: RESET_CAUSE_EXTERNAL,
        machine.WDT_RESET: RESET_CAUSE_WATCHDOG,
        machine.DEEPSLEEP_RESET: RESET_CAUSE_DEEP_SLEEP,
        machine.SOFT_RESET: RESET_CAUSE_SOFTWARE,
    }.get(machine.reset_cause(), RESET_CAUSE_UNKNOWN)


class Esp32Board:
    NAME = "esp32"
    PINS = {}

    def __init__(self, port_class, settings=None):
        """settings: the module of that name, or for a test what stands in for it."""
        if settings is None:
            import settings
        self._settings = settings
        self._make_motors(getattr(settings, "MOTOR_DRIVER", "drv8833"))  # first: they are off now
        self._robot = Robot(settings)
        self.uid = machine.unique_id()
        self.boot_id = int.from_bytes(os.urandom(4), "little") & _CLOCK_MASK
        self.reset_cause = _reset_cause()
        self.geometry = self._robot.geometry
        self.start_pose = (0, 0, 0)
        self.battery_low_mv = getattr(settings, "BATTERY_LOW_MV", 6800)
        self.battery_empty_mv = getattr(settings, "BATTERY_EMPTY_MV", 6200)
        self._divider_permille = getattr(settings, "BATTERY_DIVIDER_PERMILLE", 3000)
        self._left = encoder(0, *self._pins("encoder left"))
        self._right = encoder(1, *self._pins("encoder right"))
        self._battery = ADC(Pin(self._pins("battery")), atten=ADC.ATTN_11DB)
        self.capabilities = CAPABILITY_BATTERY_SENSOR | CAPABILITY_HARDWARE_WATCHDOG
        self._bump = None
        if "bump" in self.PINS:
            self._bump = Pin(self._pins("bump"), Pin.IN, Pin.PULL_UP)  # a switch to ground
            self.capabilities |= CAPABILITY_BUMP_SENSOR
        self._bus = None
        self.ranges_mm = array("i", [-1] * 8)
        self.range_stamps_us = array("i", [self.ticks_us()] * 8)
        self._make_ranges(getattr(settings, "RANGE_SENSORS", "ultrasonic"))
        self.gyro = None
        self.gyro_share_16ths = getattr(settings, "GYRO_SHARE_16THS", 15)
        self.poll_ranges = self._ranges.poll
        if getattr(settings, "GYRO", "none") != "none":
            self._make_gyro(settings.GYRO)
        self._watchdog = None
        time.sleep_ms(_PROMPT_MS)
        self._port = port_class()  # last: until here an exception can still be read, and interrupted, at the prompt
        self.read_into = self._port.read_into
        self.write = self._port.write
        self.motor_fault = self._motors.fault

    def _pins(self, part):
        if part not in self.PINS:
            raise ValueError(self.NAME + " has no pins for: " + part)
        return self.PINS[part]

    def _make_motors(self, driver):
        from drivers import motors

        left, right = self._pins("motor left"), self._pins("motor right")
        if driver == "drv8833":
            self._motors = motors.Motors(left[:2], right[:2], self._pins("motor sleep"), self._pins("motor fault"))
        elif len(left) < 3:
            raise ValueError(self.NAME + " has no PWM pins of their own for a motor driver: use a drv8833")
        elif driver == "tb6612":
            self._motors = motors.DirectionMotors(left, right, self._pins("motor sleep"))
        elif driver == "l298n":
            self._motors = motors.DirectionMotors(left, right, None, _L298N_PWM_HZ)
        else:
            raise ValueError("MOTOR_DRIVER: drv8833, tb6612 or l298n")

    def _make_ranges(self, kind):
        if kind == "ultrasonic":
            from drivers.ultrasonic import UltrasonicRing

            pins = self._pins("ultrasonic address"), self._pins("ultrasonic trigger"), self._pins("ultrasonic echo")
            self._ranges = UltrasonicRing(*pins, self._robot, self.ranges_mm, self.range_stamps_us)
            return
        if kind == "vl53l0x":
            from drivers.vl53l0x import VL53L0X as Sensor
        elif kind == "vl53l1x":
            from drivers.vl53l1x import VL53L1X as Sensor
        else:
            raise ValueError("RANGE_SENSORS: ultrasonic, vl53l0x or vl53l1x")
        from drivers.tof_ring import TofRing, wake_in_turn

        bus = self._i2c()
        sensors = [Sensor(bus) for _ in self._robot.places]
        mux = None
        if getattr(self._settings, "RANGE_ON", "mux") == "xshut":
            wake_in_turn(sensors, [Pin(pin, Pin.OUT, value=0) for pin in self._pins("xshut")[: len(sensors)]])
        else:
            from drivers.tca9548a import Mux

            mux = Mux(bus)
        self._ranges = TofRing(sensors, mux, self._robot, self.ranges_mm, self.range_stamps_us)

    def _make_gyro(self, kind):
        if kind != "mpu6050":
            raise ValueError("GYRO: none or mpu6050")
        from drivers.mpu6050 import Gyro

        self.gyro = Gyro(self._i2c(), getattr(self._settings, "GYRO_SIGN", 1))
        self.poll_ranges = self._poll_ranges_and_gyro

    def _i2c(self):
        if self._bus is None:
            sda, scl = self._pins("i2c")
            self._bus = machine.I2C(0, sda=Pin(sda), scl=Pin(scl), freq=_I2C_HZ, timeout=_I2C_TIMEOUT_US)
        return self._bus

    def _poll_ranges_and_gyro(self, now_us):
        self.gyro.poll(now_us)
        self._ranges.poll(now_us)

    def ticks_us(self):
        return time.ticks_us() & _CLOCK_MASK

    def wait(self, duration_us):
        """Until a byte comes from the host, at most for this time."""
        self._port.wait(max(1, duration_us // 1000))

    def encoders(self, out):
        out[0] = self._robot.left_encoder_sign * self._left.value()
        out[1] = self._robot.right_encoder_sign * self._right.value()

    def set_wheels(self, left, right):
        self._motors.set(self._robot.left_permille(left), self._robot.right_permille(right))

    def battery_mv(self):
        return self._battery.read_uv() // 1000 * self._divider_permille // 1000

    def bump(self):
        return 0 if self._bump is None else 1 - self._bump.value()

    def watchdog_start(self):
        self._watchdog = machine.WDT(timeout=_WATCHDOG_MS)

    def watchdog_feed(self):
        if self._watchdog is not None:
            self._watchdog.feed()

    def reboot(self):
        machine.reset()
