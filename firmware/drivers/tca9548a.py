"""TCA9548A: eight I2C buses behind one. A single byte, one bit a channel, says which are connected.

Not measured on hardware.
"""

ADDRESS = 0x70  # A0 to A2 to ground


class Mux:
    def __init__(self, bus, address=ADDRESS):
        self._bus = bus
        self._address = address
        self._byte = bytearray(1)
        self._selected = -1

    def select(self, channel):
        """Connect this channel only."""
        if channel == self._selected:
            return
        self._selected = -1  # unknown, should the write fail
        self._byte[0] = 1 << channel
        self._bus.writeto(self._address, self._byte)
        self._selected = channel
