"""Two DC motors on a DRV8833 H-bridge: two PWM inputs a motor, a sleep input and a fault output.

The sleep pin goes low before anything else at boot and whenever both wheels are off: a program that died elsewhere
leaves no motor running once the watchdog has started it again. Not measured on hardware.
"""

from machine import PWM, Pin
from micropython import const

_PWM_HZ = const(20000)  # above what people hear
_UNITS_FULL = const(100)  # wheel units of full voltage; the wire allows 80 of them
_DUTY_FULL = const(65535)
_FAULT_READINGS = const(3)  # in a row: the chip pulls its fault pin while it wakes up, too


class Motors:
    def __init__(self, left_pins, right_pins, sleep_pin, fault_pin):
        self._sleep = Pin(sleep_pin, Pin.OUT, value=0)
        self._inputs = [PWM(Pin(pin), freq=_PWM_HZ, duty_u16=0) for pin in left_pins + right_pins]
        self._fault = Pin(fault_pin, Pin.IN)  # open drain, with a resistor to 3.3 V
        self._left = 0
        self._right = 0
        self._fault_readings = 0

    def set(self, left, right):
        if left == self._left and right == self._right:
            return
        self._left = left
        self._right = right
        self._drive(self._inputs[0], self._inputs[1], left)
        self._drive(self._inputs[2], self._inputs[3], right)
        self._sleep.value(1 if left or right else 0)

    def _drive(self, forward, backward, units):
        duty = abs(units) * _DUTY_FULL // _UNITS_FULL
        # off first, so that both inputs are never on together
        if units >= 0:
            backward.duty_u16(0)
            forward.duty_u16(duty)
        else:
            forward.duty_u16(0)
            backward.duty_u16(duty)

    def fault(self):
        """1 once the driver reports overcurrent, overheating or undervoltage."""
        if self._fault.value() or not (self._left or self._right):
            self._fault_readings = 0
        elif self._fault_readings < _FAULT_READINGS:
            self._fault_readings += 1
        return 1 if self._fault_readings >= _FAULT_READINGS else 0
