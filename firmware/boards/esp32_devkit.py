"""An ESP32 DevKit (WROOM-32) with DRV8833, two quadrature encoders, eight HC-SR04 and two lithium cells.

Ultrasonic rather than VL53L0X sensors behind an I2C multiplexer: those need half a millisecond of bus time for each
look and a long start-up sequence, these one pin edge. Sixteen trigger and echo lines would not fit the module, so two
multiplexers share them. Echo lines are 5 V: a divider stands before the pin.

The strapping pins 0, 2, 5, 12 and 15 and the flash pins 6 to 11 stay free; 34 to 39 are inputs only and have no
pull-ups. Nothing here has been measured on hardware.
"""

import os
import time
from array import array

import machine
from machine import ADC, Pin
from micropython import const

from drivers.encoders import encoder
from drivers.motors import Motors
from drivers.serial_port import SerialPort
from drivers.ultrasonic import UltrasonicRing
from schema import (
    CAPABILITY_BATTERY_SENSOR, CAPABILITY_BUMP_SENSOR, CAPABILITY_HARDWARE_WATCHDOG, RESET_CAUSE_DEEP_SLEEP,
    RESET_CAUSE_EXTERNAL, RESET_CAUSE_POWER_ON, RESET_CAUSE_SOFTWARE, RESET_CAUSE_UNKNOWN, RESET_CAUSE_WATCHDOG,
)

_MOTOR_LEFT = (25, 26)
_MOTOR_RIGHT = (27, 14)
_MOTOR_SLEEP = const(33)
_MOTOR_FAULT = const(34)
_ENCODER_LEFT = (18, 19)
_ENCODER_RIGHT = (22, 23)
_RANGE_ADDRESS = (16, 17, 4)
_RANGE_TRIGGER = const(13)
_RANGE_ECHO = const(35)
_BATTERY = const(36)
_BUMP = const(32)  # a switch to ground

_RANGE_MAX_MM = const(2000)
_BATTERY_DIVIDER = const(3)  # 20k and 10k: 8.4 V at the battery are 2.8 V at the pin
_WATCHDOG_MS = const(1000)
_CLOCK_MASK = const(0x3FFFFFFF)


def _reset_cause():
    # a brownout looks like power-on: MicroPython does not tell them apart
    return {
        machine.PWRON_RESET: RESET_CAUSE_POWER_ON,
        machine.HARD_RESET: RESET_CAUSE_EXTERNAL,
        machine.WDT_RESET: RESET_CAUSE_WATCHDOG,
        machine.DEEPSLEEP_RESET: RESET_CAUSE_DEEP_SLEEP,
        machine.SOFT_RESET: RESET_CAUSE_SOFTWARE,
    }.get(machine.reset_cause(), RESET_CAUSE_UNKNOWN)


class Board:
    NAME = "esp32_devkit"

    def __init__(self, _options):
        self._motors = Motors(_MOTOR_LEFT, _MOTOR_RIGHT, _MOTOR_SLEEP, _MOTOR_FAULT)  # first: they are off now
        self.uid = machine.unique_id()
        self.boot_id = int.from_bytes(os.urandom(4), "little") & _CLOCK_MASK
        self.reset_cause = _reset_cause()
        self.capabilities = CAPABILITY_BUMP_SENSOR | CAPABILITY_BATTERY_SENSOR | CAPABILITY_HARDWARE_WATCHDOG
        self.geometry = (160000, 3000, _RANGE_MAX_MM)  # track um, ticks per metre
        self.start_pose = (0, 0, 0)
        self.battery_low_mv = 6800
        self.battery_empty_mv = 6200
        self.ranges_mm = array("i", [-1] * 8)
        self.range_stamps_us = array("i", [self.ticks_us()] * 8)
        self._ranges = UltrasonicRing(
            _RANGE_ADDRESS, _RANGE_TRIGGER, _RANGE_ECHO, self.ranges_mm, self.range_stamps_us, _RANGE_MAX_MM
        )
        self._left = encoder(0, *_ENCODER_LEFT)
        self._right = encoder(1, *_ENCODER_RIGHT)
        self._battery = ADC(Pin(_BATTERY), atten=ADC.ATTN_11DB)
        self._bump = Pin(_BUMP, Pin.IN, Pin.PULL_UP)
        self._watchdog = None
        self._port = SerialPort()  # last: until here an exception can still be read, and interrupted, at the prompt
        self.read_into = self._port.read_into
        self.write = self._port.write
        self.poll_ranges = self._ranges.poll
        self.set_wheels = self._motors.set
        self.motor_fault = self._motors.fault

    def ticks_us(self):
        return time.ticks_us() & _CLOCK_MASK

    def wait(self, duration_us):
        """Until a byte comes from the host, at most for this time."""
        self._port.wait(max(1, duration_us // 1000))

    def encoders(self, out):
        out[0] = self._left.value()
        out[1] = self._right.value()

    def battery_mv(self):
        return self._battery.read_uv() // 1000 * _BATTERY_DIVIDER

    def bump(self):
        return 1 - self._bump.value()

    def watchdog_start(self):
        self._watchdog = machine.WDT(timeout=_WATCHDOG_MS)

    def watchdog_feed(self):
        if self._watchdog is not None:
            self._watchdog.feed()

    def reboot(self):
        machine.reset()
