"""The parts of MicroPython's `machine` that boards/esp32_devkit.py uses, in memory. Pins are shared by number."""

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5

pins = {}
events = []  # (what, number, value), while recording
recording = [False]


def record(what, number, value):
    if recording[0]:
        events.append((what, number, value))


class Pin:
    IN, OUT, PULL_UP, IRQ_RISING, IRQ_FALLING = 1, 2, 3, 1, 2

    def __new__(cls, number, *_, **__):
        if number not in pins:
            pins[number] = object.__new__(cls)
            pins[number].level = 1
            pins[number].handler = None
        return pins[number]

    def __init__(self, number, mode=IN, pull=None, value=None):
        self.number = number
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is not None:
            self.level = level
            record("pin", self.number, level)
        return self.level

    def irq(self, handler, trigger):
        self.handler = handler

    def edge(self, level):
        self.level = level
        self.handler(self)


class PWM:
    def __init__(self, pin, freq, duty_u16):
        self.pin = pin
        pin.pwm = self
        self.duty_u16(duty_u16)

    def duty_u16(self, duty):
        self.duty = duty
        record("pwm", self.pin.number, duty)


class ADC:
    ATTN_11DB = 3
    microvolts = 2466000

    def __init__(self, pin, atten):
        pass

    def read_uv(self):
        return ADC.microvolts


class Encoder:
    def __init__(self, unit, a, b, phases):
        self.count = 0

    def value(self):
        return self.count


def I2C(*_, **__):  # noqa: N802 - as machine names it
    from fake_i2c import Bus

    return Bus()


class WDT:
    def __init__(self, timeout):
        self.timeout = timeout
        self.fed = 0

    def feed(self):
        self.fed += 1


def unique_id():
    return b"\x24\x0a\xc4\x01\x02\x03"


def reset_cause():
    return WDT_RESET


def reset():
    raise SystemExit(42)
