"""An ESP32-S3 DevKitC on the chip's own USB (the socket named "USB", not "UART").

Free stay the strapping pins 0, 3, 45 and 46, the USB pins 19 and 20, 26 to 37 (flash and the octal memory of some
modules), and 43 and 44 (the UART). Nothing here has been measured on hardware.
"""

from boards.esp32 import Esp32Board
from drivers.serial_port import UsbPort

CHIP = "esp32s3"
PINS = {
    "motor left": (4, 5, 21),  # forward, backward, and PWM where the driver has one of its own
    "motor right": (6, 7, 47),
    "motor sleep": 15,
    "motor fault": 16,
    "encoder left": (17, 18),
    "encoder right": (8, 9),
    "ultrasonic address": (38, 39, 40),
    "ultrasonic trigger": 41,
    "ultrasonic echo": 42,
    "i2c": (13, 14),  # data, clock
    "xshut": (10, 11, 12, 38, 39, 40, 41, 42),
    "battery": 1,
    "bump": 2,
}


class Board(Esp32Board):
    NAME = "esp32_s3"
    PINS = PINS

    def __init__(self, _options, settings=None):
        super().__init__(UsbPort, settings)
