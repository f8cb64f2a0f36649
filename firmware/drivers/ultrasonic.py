"""Eight HC-SR04 range sensors behind two 8-way multiplexers (74HC4051): three address pins, one trigger, one echo.

One sensor at a time, because a ring that fires together hears its neighbours. Nothing here waits: poll() fires the
next sensor when its turn has come, an interrupt on the echo pin takes the times of both edges, and a later poll()
reads them. One turn is 25 ms, so that a late echo has died away; all eight take 200 ms, one planning step.

Timing is not measured on hardware. MicroPython's pin interrupts on an ESP32 run between two bytecodes, so a reading
may be off by that delay: 100 us are 17 mm.
"""

import time
from machine import Pin
from micropython import const

import ticks

_TURN_US = const(25000)
_LISTEN_US = const(18000)  # a 2 m echo takes 12 ms; what has not come back by then is out of reach
_TRIGGER_US = const(12)  # the data sheet asks for 10
# channels: as wired in the wire's order, opposite sensors follow one another and cannot hear each other's echoes
_ORDER = (0, 7, 3, 4, 1, 6, 2, 5)


class UltrasonicRing:
    def __init__(self, address_pins, trigger_pin, echo_pin, robot, ranges_mm, stamps_us):
        self._address = [Pin(pin, Pin.OUT, value=0) for pin in address_pins]
        self._trigger = Pin(trigger_pin, Pin.OUT, value=0)
        self._ranges_mm = ranges_mm
        self._stamps_us = stamps_us
        self._robot = robot
        self._range_max_mm = robot.range_max_mm
        self._turn = 0
        self._fired_us = time.ticks_us()
        self._listening = False
        self._rose_us = 0
        self._fell_us = 0
        self._rose = False
        self._fell = False
        self._echo = Pin(echo_pin, Pin.IN)
        self._echo.irq(self._edge, Pin.IRQ_RISING | Pin.IRQ_FALLING)

    def _edge(self, pin):
        now_us = time.ticks_us()
        if pin.value():
            self._rose_us = now_us
            self._rose = True
        elif self._rose:
            self._fell_us = now_us
            self._fell = True

    def poll(self, now_us):
        waited_us = ticks.diff(now_us, self._fired_us)
        if self._listening and (self._fell or waited_us >= _LISTEN_US):
            self._listening = False
            if _ORDER[self._turn] < len(self._robot.places):
                place = self._robot.places[_ORDER[self._turn]]
                self._ranges_mm[place] = self._robot.range_mm(place, self._reading_mm())
                self._stamps_us[place] = self._fired_us
        if waited_us >= _TURN_US:
            self._fire(now_us)

    def _reading_mm(self):
        if self._fell:
            # sound takes 2 / 0.343 us a millimetre, there and back
            return min(self._range_max_mm, ticks.diff(self._fell_us, self._rose_us) * 343 // 2000)
        # an echo pin that rose and stays high has heard nothing; one that never rose has no sensor behind it
        return self._range_max_mm if self._rose else -1

    def _fire(self, now_us):
        self._turn = (self._turn + 1) % 8
        sensor = _ORDER[self._turn]
        for bit in range(3):
            self._address[bit].value(sensor >> bit & 1)
        self._rose = self._fell = False
        self._fired_us = now_us
        self._listening = True
        self._trigger.value(1)
        time.sleep_us(_TRIGGER_US)
        self._trigger.value(0)
