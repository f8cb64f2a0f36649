"""What the settings say of one robot, as the boards use it: signs, motor curves, range offsets. Integers, no heap.

Every board passes its wheels, encoders and ranges through here, the twin's too: that is how a calibration can be tried
before it is flashed.
"""

from array import array
from micropython import const

_PERMILLE_FULL = const(1000)
_RANGE_HIGHEST_MM = const(10000)  # the wire's bound
_PI_E9 = const(3141592654)

# the wire's order of the eight sensors, by where they look
BEARINGS_DEG = (0, 45, -45, 90, -90, 135, -135, 180)


class Robot:
    """`settings`: anything with the names of settings.py; what it lacks is as drawn there."""

    def __init__(self, settings):
        def of(name, default):
            return getattr(settings, name, default)

        self.track_um = of("TRACK_UM", 160000)
        self.range_max_mm = of("RANGE_MAX_MM", 2000)
        per_metre = of("TICKS_PER_METRE", 3000)
        if not per_metre:
            # turns in a metre: 10^6 um / (2 pi radius); big integers, at start-up only
            per_metre = of("TICKS_PER_TURN", 622) * 10**15 // (2 * _PI_E9 * of("WHEEL_RADIUS_UM", 33000))
        self.geometry = (self.track_um, per_metre, self.range_max_mm)
        self._left_sign = _sign(of("LEFT_MOTOR_SIGN", 1))
        self._right_sign = _sign(of("RIGHT_MOTOR_SIGN", 1))
        self.left_encoder_sign = _sign(of("LEFT_ENCODER_SIGN", 1))
        self.right_encoder_sign = _sign(of("RIGHT_ENCODER_SIGN", 1))
        self._left_dead = of("LEFT_DEAD_PERMILLE", 0)
        self._right_dead = of("RIGHT_DEAD_PERMILLE", 0)
        self._left_gain = of("LEFT_GAIN_PERMILLE", 1000)
        self._right_gain = of("RIGHT_GAIN_PERMILLE", 1000)
        if not (0 <= self._left_dead < 1000 and 0 <= self._right_dead < 1000):
            raise ValueError("a dead zone is 0 to 999")
        if not (0 < self._left_gain <= 10000 and 0 < self._right_gain <= 10000):
            raise ValueError("a gain is 1 to 10000")
        self._offsets_mm = array("i", of("RANGE_OFFSETS_MM", (0,) * 8))
        # channel -> place in the wire's order
        self.places = tuple(BEARINGS_DEG.index(bearing) for bearing in of("RANGE_BEARINGS_DEG", BEARINGS_DEG))
        if len(self._offsets_mm) != 8 or len(set(self.places)) != len(self.places):
            raise ValueError("eight range offsets, and no two sensors that look the same way")

    def left_permille(self, units):
        """Motor output in thousandths of full voltage for wheel units."""
        return self._left_sign * _output(units, self._left_dead, self._left_gain)

    def right_permille(self, units):
        return self._right_sign * _output(units, self._right_dead, self._right_gain)

    def range_mm(self, place, reading_mm):
        """A sensor's reading from the body's rim. No reading stays none; out of reach stays out of reach."""
        offset_mm = self._offsets_mm[place]
        if reading_mm < 0 or not offset_mm:
            return min(reading_mm, _RANGE_HIGHEST_MM)
        if reading_mm >= self.range_max_mm:
            return self.range_max_mm
        return max(0, min(self.range_max_mm, reading_mm + offset_mm))


def _sign(value):
    if value not in (1, -1):
        raise ValueError("a sign is 1 or -1")
    return value


def _output(units, dead, gain):
    """Zero is zero, whatever the dead zone: a wheel that shall stand gets no voltage."""
    if units > 0:
        return min(_PERMILLE_FULL, dead + units * gain // 100)
    if units < 0:
        return -min(_PERMILLE_FULL, dead + -units * gain // 100)
    return 0
