"""Two DC motors on an H-bridge. set() takes thousandths of full voltage, negative backwards.

DRV8833: two PWM inputs a motor, a sleep input and a fault output. TB6612 and L298N: two direction inputs and one PWM
input a motor; the first has a standby input too, the second none.

The sleep or standby pin goes low before anything else at boot and whenever both wheels are off: a program that died
elsewhere leaves no motor running once the watchdog has started it again. Not measured on hardware.
"""

from machine import PWM, Pin
from micropython import const

_PWM_HZ = const(20000)  # above what people hear
_PERMILLE_FULL = const(1000)
_DUTY_FULL = const(65535)
_FAULT_READINGS = const(3)  # in a row: the chip pulls its fault pin while it wakes up, too


class Motors:
    """A DRV8833."""

    def __init__(self, left_pins, right_pins, sleep_pin, fault_pin):
        self._sleep = Pin(sleep_pin, Pin.OUT, value=0)
        self._inputs = [PWM(Pin(pin), freq=_PWM_HZ, duty_u16=0) for pin in left_pins + right_pins]
        # open drain, with a resistor to 3.3 V; None where it is not connected
        self._fault = None if fault_pin is None else Pin(fault_pin, Pin.IN)
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

    def _drive(self, forward, backward, permille):
        duty = abs(permille) * _DUTY_FULL // _PERMILLE_FULL
        # off first, so that both inputs are never on together
        if permille >= 0:
            backward.duty_u16(0)
            forward.duty_u16(duty)
        else:
            forward.duty_u16(0)
            backward.duty_u16(duty)

    def fault(self):
        """1 once the driver reports overcurrent, overheating or undervoltage."""
        if self._fault is None or self._fault.value() or not (self._left or self._right):
            self._fault_readings = 0
        elif self._fault_readings < _FAULT_READINGS:
            self._fault_readings += 1
        return 1 if self._fault_readings >= _FAULT_READINGS else 0


class DirectionMotors:
    """A TB6612 or an L298N. Pins a motor: forward, backward, PWM."""

    def __init__(self, left_pins, right_pins, standby_pin, pwm_hz=_PWM_HZ):
        """standby_pin: None for an L298N, whose PWM inputs alone switch it off."""
        self._standby = None if standby_pin is None else Pin(standby_pin, Pin.OUT, value=0)
        self._inputs = []
        for forward, backward, enable in (left_pins, right_pins):
            speed = PWM(Pin(enable), freq=pwm_hz, duty_u16=0)
            self._inputs.append((Pin(forward, Pin.OUT, value=0), Pin(backward, Pin.OUT, value=0), speed))
        self._left = 0
        self._right = 0

    def set(self, left, right):
        if left == self._left and right == self._right:
            return
        self._drive(self._inputs[0], self._left, left)
        self._drive(self._inputs[1], self._right, right)
        self._left = left
        self._right = right
        if self._standby is not None:
            self._standby.value(1 if left or right else 0)

    def _drive(self, pins, before, permille):
        forward, backward, speed = pins
        if (before > 0) != (permille > 0) or (before < 0) != (permille < 0):
            speed.duty_u16(0)  # no voltage while the direction changes
            forward.value(1 if permille > 0 else 0)
            backward.value(1 if permille < 0 else 0)
        speed.duty_u16(abs(permille) * _DUTY_FULL // _PERMILLE_FULL)

    def fault(self):
        """Neither part tells."""
        return 0
