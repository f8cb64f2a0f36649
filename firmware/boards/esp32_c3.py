"""An ESP32-C3 DevKitM on the chip's own USB (pins 18 and 19).

It has few pins: time-of-flight sensors on I2C only, no bump switch, no fault line of a motor driver. 8 and 9 are
strapping pins that must be high at boot, as the pull-ups of an I2C bus keep them; 2 stays free. It has no pulse
counter, so the encoders are counted by interrupts: good for a few hundred edges a second. Nothing here has been
measured on hardware.
"""

from boards.esp32 import Esp32Board
from drivers.serial_port import UsbPort

CHIP = "esp32c3"
PINS = {
    "motor left": (4, 5),  # forward, backward: a driver with PWM lines of its own does not fit
    "motor right": (6, 7),
    "motor sleep": 10,
    "motor fault": None,
    "encoder left": (1, 3),
    "encoder right": (20, 21),
    "i2c": (8, 9),  # data, clock
    "battery": 0,
}


class Board(Esp32Board):
    NAME = "esp32_c3"
    PINS = PINS

    def __init__(self, _options, settings=None):
        super().__init__(UsbPort, settings)
