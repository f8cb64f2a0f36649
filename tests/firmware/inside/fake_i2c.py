"""An I2C bus with the parts that the drivers know, as their registers behave. No heap per transfer.

The parts answer for what a driver must do: turn pages, wait for boot, give the stop value back, clear the news. What
light does is not here.
"""

NACK = 19


class Bus:
    """`machine.I2C`: parts by address, more of them behind a mux."""

    def __init__(self, *_, **__):
        self.parts = []  # on the bus itself
        self.mux = None
        self.transfers = 0
        self.collisions = 0

    def _find(self, address):
        self.transfers += 1
        found = None
        for part in self.parts:
            if part.awake and part.address == address:
                if found is not None:
                    self.collisions += 1
                found = part
        if self.mux is not None:
            for channel in range(8):
                part = self.mux.parts[channel]
                if self.mux.control >> channel & 1 and part is not None and part.awake and part.address == address:
                    if found is not None:
                        self.collisions += 1
                    found = part
        if found is None:
            raise OSError(NACK)
        return found

    def writeto(self, address, buffer):
        self.transfers += 1
        if self.mux is None or address != self.mux.address:
            raise OSError(NACK)
        self.mux.control = buffer[0]
        self.mux.writes += 1

    def readfrom_mem_into(self, address, register, buffer, addrsize=8):
        part = self._find(address)
        assert part.address_bits == addrsize
        for i in range(len(buffer)):
            buffer[i] = part.read(register + i)

    def writeto_mem(self, address, register, buffer, addrsize=8):
        part = self._find(address)
        assert part.address_bits == addrsize
        for i in range(len(buffer)):
            part.write(register + i, buffer[i])


class Mux:
    def __init__(self, parts):
        self.address = 0x70
        self.control = 0
        self.writes = 0
        self.parts = parts


class FakeVL53L0X:
    address_bits = 8

    def __init__(self):
        self.address = 0x29
        self.awake = True
        self.data = bytearray(8 * 256)
        self.page = 0
        self.ranging = False
        self.data[0xC0:0xC3] = b"\xee\xaa\x10"
        self.data[256 + 0x91] = 0x3C
        self.data[7 * 256 + 0x92] = 0x80 | 4  # four reference diodes, behind an aperture
        self.data[0xB0:0xB6] = b"\xff\xff\xff\xff\xff\xff"

    def read(self, register):
        return self.data[self.page * 256 + register]

    def write(self, register, value):
        if register == 0xFF:
            self.page = value
            return
        at = self.page * 256 + register
        self.data[at] = value
        if self.page == 7 and register == 0x83 and value == 0 and self.data[7 * 256 + 0x94] == 0x6B:
            self.data[at] = 0x10  # the memory's answer is there
        elif self.page == 0 and register == 0x0B:
            self.data[0x13] = 0
        elif self.page == 0 and register == 0x8A:
            self.address = value
        elif self.page == 0 and register == 0 and value & 1 and self.data[0x80] == 0:
            self.data[0x13] = 0x04  # a calibration has ended
        elif self.page == 0 and register == 0 and value == 2:
            self.ranging = self.data[256 + 0x91] == 0x3C and self.data[0x01] == 0xE8

    def measure(self, range_mm, status=11):
        if self.ranging and self.awake:
            self.data[0x14] = status << 3
            self.data[0x1E] = range_mm >> 8
            self.data[0x1F] = range_mm & 0xFF
            self.data[0x13] = 0x04


class FakeVL53L1X:
    address_bits = 16

    def __init__(self):
        self.address = 0x29
        self.awake = True
        self.data = bytearray(0x200)
        self.booting = 3  # looks until it has booted
        self.data[0x10F] = 0xEA
        self.data[0x110] = 0xCC
        self.data[0xDE] = 0x02
        self.data[0xDF] = 0xC0
        self.ranging = False
        self.starts = 0

    def read(self, register):
        if register == 0xE5:
            self.booting -= 1
            return 1 if self.booting <= 0 else 0
        return self.data[register]

    def write(self, register, value):
        self.data[register] = value
        if register == 0x0001:
            self.address = value
        elif register == 0x0086 and value & 1:
            self.data[0x31] &= 0xFE
        elif register == 0x0087:
            self.ranging = value == 0x40 and self.data[0x2E + 2] == 1 and self.data[0x46] == 0x20
            if self.ranging:
                self.starts += 1
                if self.starts == 1:
                    self.measure(77)

    def period(self):
        return self.data[0x6C] << 24 | self.data[0x6D] << 16 | self.data[0x6E] << 8 | self.data[0x6F]

    def measure(self, range_mm, status=9):
        if self.ranging and self.awake:
            self.data[0x89] = status
            self.data[0x96] = range_mm >> 8
            self.data[0x97] = range_mm & 0xFF
            self.data[0x31] |= 1


class FakeMPU6050:
    address_bits = 8

    def __init__(self):
        self.address = 0x68
        self.awake = True
        self.data = bytearray(256)
        self.data[0x75] = 0x68
        self.data[0x6B] = 0x40  # asleep after power-on

    def read(self, register):
        value = self.data[register]
        if register == 0x3A:
            self.data[0x3A] = 0
        return value

    def write(self, register, value):
        self.data[register] = 0x40 if register == 0x6B and value & 0x80 else value

    def turn(self, milli_deg_s):
        """A sample, as its range is set."""
        if self.data[0x6B] & 0x40:
            return
        per_deg = 131000 >> (self.data[0x1B] >> 3 & 3)
        value = max(-32768, min(32767, milli_deg_s * per_deg // 1000000))
        self.data[0x47] = value >> 8 & 0xFF
        self.data[0x48] = value & 0xFF
        self.data[0x3A] |= self.data[0x38] & 1
