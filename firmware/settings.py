"""What this robot is: the one file to edit for yours. `jepa-bridge calibrate` writes it, `jepa-bridge flash` copies it.

Only plain values: programs read this file without running it. firmware/README.md says what fits which board.
"""

BOARD = "esp32_devkit"  # a file of boards/

# geometry; TICKS_PER_METRE is what calibration measured, 0: reckoned from radius and ticks a turn
TRACK_UM = 160000  # between the two wheels' points of contact
WHEEL_RADIUS_UM = 33000
TICKS_PER_TURN = 622  # of a wheel: all four edges of the encoder, times the gear
TICKS_PER_METRE = 3000

# motors: "drv8833", "tb6612" or "l298n"; a sign of -1 turns that direction around
MOTOR_DRIVER = "drv8833"
LEFT_MOTOR_SIGN = 1
RIGHT_MOTOR_SIGN = 1
LEFT_ENCODER_SIGN = 1
RIGHT_ENCODER_SIGN = 1
# output in thousandths of full voltage = dead zone + 10 * wheel units * gain / 1000
LEFT_DEAD_PERMILLE = 0
RIGHT_DEAD_PERMILLE = 0
LEFT_GAIN_PERMILLE = 1000
RIGHT_GAIN_PERMILLE = 1000

# range sensors: "ultrasonic", "vl53l0x" or "vl53l1x"; the last two on a "mux" (TCA9548A) or by "xshut" lines
RANGE_SENSORS = "ultrasonic"
RANGE_ON = "mux"
RANGE_MAX_MM = 2000
# where the sensor on channel 0, 1, ... looks, counter-clockwise from the nose, in degrees
RANGE_BEARINGS_DEG = (0, 45, -45, 90, -90, 135, -135, 180)
# added to a reading so that it counts from the body's rim, in the wire's order: by bearing as above
RANGE_OFFSETS_MM = (0, 0, 0, 0, 0, 0, 0, 0)

# heading: "none" or "mpu6050"; the share of the gyro against the wheels in sixteenths
GYRO = "none"
GYRO_SIGN = 1
GYRO_SHARE_16THS = 15

# two lithium cells behind a divider of 20k and 10k
BATTERY_DIVIDER_PERMILLE = 3000
BATTERY_LOW_MV = 6800
BATTERY_EMPTY_MV = 6200
