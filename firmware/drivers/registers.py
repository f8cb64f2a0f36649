"""Registers of a part on an I2C bus. The buffers are made once, so that reading and writing need no heap.

A part that does not answer is an OSError, which is for the caller.
"""


class Registers:
    def __init__(self, bus, address, address_bits=8):
        self.bus = bus
        self.address = address
        self._bits = address_bits
        self._one = bytearray(1)
        self._two = bytearray(2)

    def get(self, register):
        self.bus.readfrom_mem_into(self.address, register, self._one, addrsize=self._bits)
        return self._one[0]

    def get16(self, register):
        """Two bytes, the high one first."""
        self.bus.readfrom_mem_into(self.address, register, self._two, addrsize=self._bits)
        return self._two[0] << 8 | self._two[1]

    def signed16(self, register):
        return (self.get16(register) ^ 0x8000) - 0x8000

    def get_into(self, register, buffer):
        self.bus.readfrom_mem_into(self.address, register, buffer, addrsize=self._bits)

    def put(self, register, value):
        self._one[0] = value
        self.bus.writeto_mem(self.address, register, self._one, addrsize=self._bits)

    def put16(self, register, value):
        self._two[0] = value >> 8
        self._two[1] = value & 0xFF
        self.bus.writeto_mem(self.address, register, self._two, addrsize=self._bits)

    def put_all(self, register, values):
        self.bus.writeto_mem(self.address, register, values, addrsize=self._bits)
