"""Quadrature encoders: counted by the pulse counter where MicroPython offers machine.Encoder, else by interrupts.

The pulse counter loses nothing. Interrupts on an ESP32 are queued for the interpreter, and edges that come faster than
it runs them are lost: good for a few hundred a second. Not measured on hardware.
"""

import machine
from machine import Pin

# by (old A, old B, A, B): steps forward; 0 where nothing changed or an edge was missed
_STEPS = (0, -1, 1, 0, 1, 0, 0, -1, -1, 0, 0, 1, 0, 1, -1, 0)


class InterruptEncoder:
    def __init__(self, a_pin, b_pin):
        self._a = Pin(a_pin, Pin.IN, Pin.PULL_UP)
        self._b = Pin(b_pin, Pin.IN, Pin.PULL_UP)
        self._phase = self._a.value() << 1 | self._b.value()
        self._count = 0
        for pin in (self._a, self._b):
            pin.irq(self._edge, Pin.IRQ_RISING | Pin.IRQ_FALLING)

    def _edge(self, _pin):
        phase = self._a.value() << 1 | self._b.value()
        self._count += _STEPS[self._phase << 2 | phase]
        self._phase = phase

    def value(self):
        return self._count


def encoder(unit, a_pin, b_pin):
    """An object whose value() counts all four edges of a period, forwards and backwards."""
    if hasattr(machine, "Encoder"):
        return machine.Encoder(unit, Pin(a_pin, Pin.IN, Pin.PULL_UP), Pin(b_pin, Pin.IN, Pin.PULL_UP), phases=4)
    return InterruptEncoder(a_pin, b_pin)
