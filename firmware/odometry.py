"""Where the wheels say the robot is: integers only, no heap, no drift from rounding.

The heading is a linear function of the tick difference (right - left), so it is kept as exactly that: a phase modulo
one turn, with 14 more bits of fraction. The position is kept in half encoder ticks with 20 bits of fraction and turned
into millimetres only when asked for.

A gyro, where there is one, takes over most of the heading while the robot moves: wheels slip, a gyro does not. While it
stands the wheels alone count, because a gyro drifts.
"""

from array import array
from micropython import const

import ticks
from sine import ONE, TURN, cosine, sine

_FRACTION_BITS = const(14)  # of the phase per tick
_FRACTION_MASK = const(0x3FFF)
_POSITION_BITS = const(20)  # ONE of sine
_POSITION_MASK = const(0xFFFFF)
_PIECE_HALF_TICKS = const(500)  # longest piece of path at once: times ONE it stays below 2^30
_PIECES_A_TURN = const(16)  # a piece turns by 0.4 rad at most: what its chord lacks of its arc is known to 1e-5
# chord / arc = 1 - turn^2 / 24; with turn in 2^-18 turns, that is 1684 * 2^-26 of sine's ONE
_CHORD_SHIFT = const(10)
_CHORD_FACTOR = const(1684)
_STEP_MAX_M = const(4)  # no robot drives this between two updates: what is beyond is an encoder's error
_POSITION_MAX_MM = const(0x3FFFFFFF)
_SPEED_MAX_MM_S = const(10000)
_REST_UPDATES = const(25)  # 0.5 s without a tick: it stands
_SPEED_WINDOW = const(4)  # updates that a speed is measured over: at 20 ms, one tick a window is 1/80 ms

# 2^28 / 6283.185... = 42722.8298: phase units in a milliradian, and the fraction in 65536ths
_PHASE_PER_MRAD = const(42722)
_PHASE_PER_MRAD_65536 = const(54377)


class Odometry:
    def __init__(self, geometry, start_pose, gyro=None, gyro_share_16ths=15):
        """gyro: something with `phase` in 2^-28 turns, `valid`, and `rest(resting)`."""
        self._gyro = gyro
        self._gyro_share_16ths = gyro_share_16ths
        self._gyro_phase = 0
        self._gyro_valid = False
        self._still = 0
        track_um, ticks_per_metre = geometry[0], geometry[1]
        # phase per tick of difference = TURN * 1e6 / (2 pi * track_um * ticks_per_metre); big integers, at start-up only
        scale = (TURN << _FRACTION_BITS) * 10**21 // (6283185307179586 * track_um * ticks_per_metre)
        self._phase_per_tick = scale >> _FRACTION_BITS
        self._phase_per_tick_fraction = scale & _FRACTION_MASK
        self._piece_turn_ticks = max(1, TURN // _PIECES_A_TURN // max(1, self._phase_per_tick))
        self._step_max_ticks = _STEP_MAX_M * ticks_per_metre
        self._half_ticks_per_metre = 2 * ticks_per_metre
        self._ticks_per_metre = ticks_per_metre
        self.ticks = array("i", [0, 0])  # left, right as last read
        self.left_mm_s = 0
        self.right_mm_s = 0
        self._started = False
        self._window_ticks = array("i", [0] * (2 * _SPEED_WINDOW))
        self._window_us = array("i", [0] * _SPEED_WINDOW)
        self._window_at = 0
        self.set_pose(start_pose[0], start_pose[1], start_pose[2])

    def set_pose(self, x_mm, y_mm, heading_mrad):
        self._x0_mm = x_mm
        self._y0_mm = y_mm
        self._x = self._y = 0  # half ticks
        self._x_fraction = self._y_fraction = 0
        self._phase = (heading_mrad * _PHASE_PER_MRAD + (heading_mrad * _PHASE_PER_MRAD_65536 >> 16)) & (TURN - 1)
        self._phase_fraction = 0

    def update(self, encoders, now_us):
        """encoders[0], encoders[1] = left, right ticks at now_us."""
        left = ticks.diff(encoders[0], self.ticks[0])
        right = ticks.diff(encoders[1], self.ticks[1])
        self.ticks[0] = encoders[0]
        self.ticks[1] = encoders[1]
        if not self._started:
            # the first reading is where counting begins, not a way that was driven
            self._started = True
            for i in range(_SPEED_WINDOW):
                self._remember(i, encoders, now_us)
            return
        self._speeds(encoders, now_us)
        limit = self._step_max_ticks
        left = max(-limit, min(limit, left))
        right = max(-limit, min(limit, right))
        pieces = 1 + max(
            abs(right - left) // self._piece_turn_ticks, (abs(left) + abs(right)) // _PIECE_HALF_TICKS
        )
        slip = 0 if self._gyro is None else self._slip(left, right)
        for i in range(pieces):
            self._advance(
                left * (i + 1) // pieces - left * i // pieces,
                right * (i + 1) // pieces - right * i // pieces,
                slip * (i + 1) // pieces - slip * i // pieces,
            )
        # whole metres move over to the start: the count of half ticks stays small, and a metre has them exactly
        metre = self._half_ticks_per_metre
        if self._x >= metre or self._x < 0:
            self._x0_mm = _saturate(self._x0_mm, self._x // metre * 1000)
            self._x %= metre
        if self._y >= metre or self._y < 0:
            self._y0_mm = _saturate(self._y0_mm, self._y // metre * 1000)
            self._y %= metre

    def _slip(self, left, right):
        """What the gyro turned more than the wheels since the last update, by its share; in phase units."""
        gyro = self._gyro
        self._still = 0 if left or right else min(_REST_UPDATES, self._still + 1)
        resting = self._still >= _REST_UPDATES
        gyro.rest(resting)
        turned = _wrap(gyro.phase - self._gyro_phase)
        self._gyro_phase = gyro.phase
        # the first phase after a gap says nothing of what was turned meanwhile
        known = self._gyro_valid and gyro.valid
        self._gyro_valid = gyro.valid
        # so much in one update is an encoder's error, and its phase no small integer
        if resting or not known or abs(right - left) > 4 * self._piece_turn_ticks:
            return 0
        return (_wrap(turned - (right - left) * self._phase_per_tick) >> 4) * self._gyro_share_16ths

    def _advance(self, left, right, slip):
        turn = right - left
        fraction = turn * self._phase_per_tick_fraction + self._phase_fraction
        turned = turn * self._phase_per_tick + (fraction >> _FRACTION_BITS) + slip
        self._phase_fraction = fraction & _FRACTION_MASK
        # an arc's chord points along its middle heading
        middle = (self._phase + (turned >> 1)) & (TURN - 1)
        self._phase = (self._phase + turned) & (TURN - 1)
        turned >>= _CHORD_SHIFT
        lack = (turned * turned >> 10) * _CHORD_FACTOR >> 16
        half_ticks = left + right
        x = half_ticks * _shorten(cosine(middle), lack) + self._x_fraction
        y = half_ticks * _shorten(sine(middle), lack) + self._y_fraction
        self._x += x >> _POSITION_BITS
        self._y += y >> _POSITION_BITS
        self._x_fraction = x & _POSITION_MASK
        self._y_fraction = y & _POSITION_MASK

    def _remember(self, slot, encoders, now_us):
        self._window_ticks[2 * slot] = encoders[0]
        self._window_ticks[2 * slot + 1] = encoders[1]
        self._window_us[slot] = now_us

    def _speeds(self, encoders, now_us):
        slot = self._window_at
        # tenths of milliseconds keep ticks * 10000 below 2^30 for 100,000 ticks a window
        elapsed = ticks.diff(now_us, self._window_us[slot]) // 100
        if elapsed > 0:
            self.left_mm_s = self._speed(ticks.diff(encoders[0], self._window_ticks[2 * slot]), elapsed)
            self.right_mm_s = self._speed(ticks.diff(encoders[1], self._window_ticks[2 * slot + 1]), elapsed)
        self._remember(slot, encoders, now_us)
        self._window_at = (slot + 1) % _SPEED_WINDOW

    def _speed(self, moved, elapsed):
        moved = max(-100000, min(100000, moved))
        per_second = max(-1000000, min(1000000, moved * 10000 // elapsed))
        return max(-_SPEED_MAX_MM_S, min(_SPEED_MAX_MM_S, per_second * 1000 // self._ticks_per_metre))

    def _millimetres(self, start_mm, half_ticks):
        metre = self._half_ticks_per_metre
        return _saturate(start_mm, (half_ticks * 1000 + metre // 2) // metre)

    def x_mm(self):
        return self._millimetres(self._x0_mm, self._x)

    def y_mm(self):
        return self._millimetres(self._y0_mm, self._y)

    def heading_mrad(self):
        # 2^17 steps a turn, in -2^16..2^16; 12566.375 / 2^18 milliradians each
        steps = ((self._phase ^ (TURN >> 1)) - (TURN >> 1)) >> 11
        return (steps * 12566 + (steps * 3 >> 3) + 0x20000) >> 18


def _wrap(phase):
    """The same angle in -TURN/2 .. TURN/2 - 1."""
    return ((phase + (TURN >> 1)) & (TURN - 1)) - (TURN >> 1)


def _shorten(component, lack):
    """component * (1 - lack), both in 2^-20, with no product beyond 2^30."""
    return component - ((component >> 7) * lack >> 13)


def _saturate(position_mm, moved_mm):
    """Their sum, kept within the wire's bounds without ever being larger on the way."""
    if position_mm > 0:
        return position_mm + min(moved_mm, _POSITION_MAX_MM - position_mm)
    return position_mm + max(moved_mm, -_POSITION_MAX_MM - position_mm)
