"""An ESP32 DevKit (WROOM-32) on its USB serial adapter.

The strapping pins 0 and 12 and the flash pins 6 to 11 stay free. Of the other strapping pins 5 may idle high, as an I2C
line does, and 2 and 15 are PWM lines of a TB6612 or L298N, each with 10k to ground. 34 to 39 are inputs only and have
no pull-ups. Sixteen trigger and echo lines would not fit the module: two
multiplexers share them (two 74HC4051). Echo lines are 5 V: a divider stands before the pin. Nothing here has been
measured on hardware.
"""

from boards.esp32 import Esp32Board
from drivers.serial_port import SerialPort

CHIP = "esp32"
PINS = {
    "motor left": (25, 26, 2),  # forward, backward, and PWM where the driver has one of its own
    "motor right": (27, 14, 15),
    "motor sleep": 33,
    "motor fault": 34,
    "encoder left": (18, 19),
    "encoder right": (22, 23),
    "ultrasonic address": (16, 17, 4),
    "ultrasonic trigger": 13,
    "ultrasonic echo": 35,
    "i2c": (21, 5),  # data, clock
    "battery": 36,
    "bump": 32,
}


class Board(Esp32Board):
    NAME = "esp32_devkit"
    PINS = PINS

    def __init__(self, _options, settings=None):
        super().__init__(SerialPort, settings)
