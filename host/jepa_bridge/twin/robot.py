"""The twin robot's numbers, in this one place: geometry, motors, sensors. SI units in the names."""

from __future__ import annotations

TRACK_M = 0.160  # between the two wheels' points of contact
WHEEL_RADIUS_M = 0.033
BODY_RADIUS_M = 0.100  # the range sensors sit on this rim
SENSOR_HEIGHT_M = 0.060

RANGE_MAX_M = 2.0  # from the rim; a reading of exactly this says "nothing within reach"

TICKS_PER_METRE = 3000  # about 622 ticks a wheel turn: a 12-tick encoder behind a 52:1 gear

WHEEL_SPEED_MAX_M_S = 0.5  # of one wheel at 80 wheel units, unloaded
MOTOR_LAG_S = 0.1  # time constant of the speed when driving straight
WHEEL_RAMP_S = 0.08  # the firmware's ramp: so long from standstill to full output and back

BODY_MASS_KG = 0.94
WHEEL_MASS_KG = 0.03
MASS_KG = BODY_MASS_KG + 2 * WHEEL_MASS_KG
CENTRE_OF_MASS_X_M = -0.025  # behind the axle, so that the caster keeps its load when the robot brakes
CENTRE_OF_MASS_Z_M = 0.035
CASTER_X_M = -0.080

WHEEL_GRIP = 0.9  # coefficient of friction, rubber on a smooth floor
BODY_FRICTION = 0.3  # of the shell along a wall

BATTERY_MV = 7400
