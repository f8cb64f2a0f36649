"""The one ramp that every wheel output passes.

A wheel moves by at most 1 milliunit in a microsecond, which takes it from full speed to zero in 80 ms. Together with
one loop period before the ramp notices, that stays below the 100 ms of PROTOCOL.md.
"""

from micropython import const

_MILLIUNITS = const(1000)
_STEP_MAX_US = const(100000)  # longer than any ramp; also keeps the arithmetic small after a stall


class Ramp:
    def __init__(self):
        self._milliunits = 0

    def output(self):
        """The output now, in wheel units, rounded towards zero."""
        if self._milliunits < 0:
            return -(-self._milliunits // _MILLIUNITS)
        return self._milliunits // _MILLIUNITS

    def step(self, target, elapsed_us):
        """Move towards the target (wheel units) for this long; return the output."""
        away = target * _MILLIUNITS - self._milliunits
        reach = min(elapsed_us, _STEP_MAX_US)
        self._milliunits += max(-reach, min(reach, away))
        return self.output()

    def cut(self):
        self._milliunits = 0
