"""A running firmware for tests: `main.py sim` behind a real pty, a body behind its pipes, and a plain host.

The host here is a second, independent reading of PROTOCOL.md from cbor2 and zlib: it shares no code with the firmware
and none with the bridge.
"""

import contextlib
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import time
import tty
import zlib
from pathlib import Path

import cbor2

ROOT = Path(__file__).parents[2]
FIRMWARE = ROOT / "firmware"
MICROPYTHON = shutil.which("micropython") or str(Path(sys.executable).with_name("micropython"))

HELLO, SENSOR, STATUS, ACK, LOG = 1, 2, 3, 4, 5
OPEN, TIME_SYNC, ARM, CMD, STOP, CLEAR, REBOOT, POSE = range(16, 24)
BOOT, IDLE, OPENED, ARMED, DRIVING, STOPPED = range(6)
PERIOD = 1 << 30


def schema_hash():
    names = {}
    for line in (FIRMWARE / "schema.py").read_text().splitlines():
        if line.startswith("SCHEMA_HASH"):
            exec(line, names)
    return names["SCHEMA_HASH"]


SEED = int.from_bytes(schema_hash(), "big")


def cobs(body):
    out = bytearray()
    for run in body.split(b"\0"):
        assert len(run) < 254
        out += bytes([len(run) + 1]) + run
    return bytes(out)


def uncobs(data):
    out = bytearray()
    position = 0
    while position < len(data):
        code = data[position]
        out += data[position + 1 : position + code]
        position += code
        if position < len(data):
            out.append(0)
    assert position == len(data), "malformed COBS"
    return bytes(out)


def frame(cbor, seed=SEED, magic=0xB1):
    body = bytes([magic]) + cbor
    return b"\0" + cobs(body + zlib.crc32(body, seed).to_bytes(4, "little")) + b"\0"


def host_frame(*items):
    return frame(cbor2.dumps(list(items)))


def device_frame(cbor):
    return frame(cbor, 0 if cbor2.loads(cbor)[0] == HELLO else SEED)


def unframe(encoded):
    """The CBOR of one device frame, without its zeros; asserts that everything about it is right."""
    body = uncobs(encoded)
    assert len(body) <= 128
    assert body[0] == 0xB1
    cbor = body[1:-4]
    items = cbor2.loads(cbor)
    seed = 0 if items[0] == HELLO else SEED
    assert zlib.crc32(body[:-4], seed) == int.from_bytes(body[-4:], "little")
    assert cbor2.dumps(items) == cbor, "not minimally encoded"
    return cbor


class Robot:
    """The firmware as a process. Times are wall seconds; `speed` is the firmware's clock against the wall's."""

    def __init__(self, interpreter=(MICROPYTHON,), environment=None, program="main.py", **keys):
        self.messages = []  # (wall time, items) of every device message so far
        self.raw = []  # its CBOR
        self.motors = []  # (wall time, left, right, counter)
        self.body = {"ranges": [1000] * 8, "left": 0, "right": 0, "battery": 7400, "bump": 0}
        self.session = 0
        self.seq = 100
        self._line = bytearray()
        self._motor = bytearray()
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(slave, False)
        os.set_blocking(self.master, False)
        body_read, self.body_write = os.pipe()
        self.motor_read, motor_write = os.pipe()
        for descriptor in (body_read, self.body_write, self.motor_read, motor_write):
            os.set_blocking(descriptor, False)

        def place_descriptors():
            high = [os.dup2(body_read, 50), os.dup2(motor_write, 51)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
            os.closerange(5, 64)

        command = [*interpreter, str(program), "sim", *(f"{key}={value}" for key, value in keys.items())]
        self.process = subprocess.Popen(
            command,
            cwd=FIRMWARE,
            stdin=slave,
            stdout=slave,
            close_fds=False,
            preexec_fn=place_descriptors,  # noqa: PLW1509 - no threads here
            env={**os.environ, **(environment or {})},
        )
        for descriptor in (slave, body_read, motor_write):
            os.close(descriptor)
        self.reading = True
        self._next_body = 0.0

    # ---- both channels ----------------------------------------------------------------------------------

    def pump(self, duration, until=None):
        """Serve both channels for so long, or until the condition holds; true if it does."""
        end = time.monotonic() + duration
        while True:
            now = time.monotonic()
            if until is not None and until():
                return True
            if now >= end:
                return until is None
            if now >= self._next_body and self.body is not None:
                self._next_body = now + 0.01
                self.send_body()
            inputs = [self.motor_read] + ([self.master] if self.reading else [])
            ready, _, _ = select.select(inputs, [], [], min(0.005, end - now))
            if self.motor_read in ready:
                self._motor += os.read(self.motor_read, 4096)
                while len(self._motor) >= 4:
                    self.motors.append((time.monotonic(), *struct.unpack("<bbH", self._motor[:4])))
                    del self._motor[:4]
            if self.master in ready:
                self._take_line()
            if self.process.poll() is not None and not ready:
                return until is None

    def _take_line(self):
        try:
            self._line += os.read(self.master, 65536)
        except OSError:
            return
        *frames, rest = self._line.split(b"\0")
        self._line = bytearray(rest)
        for encoded in frames:
            if encoded:
                try:
                    cbor = unframe(bytes(encoded))
                except Exception as error:
                    raise AssertionError(f"not a frame: {bytes(encoded)!r}") from error
                self.raw.append(cbor)
                self.messages.append((time.monotonic(), cbor2.loads(cbor)))

    def send_body(self):
        body = self.body
        packet = struct.pack(
            "<I8HiiHBB",
            int(time.monotonic() * 1e6) % PERIOD,
            *body["ranges"],
            body["left"],
            body["right"],
            body["battery"],
            body["bump"],
            0,
        )
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self.body_write, packet)

    def write(self, data):
        os.write(self.master, data)

    # ---- host -------------------------------------------------------------------------------------------

    def of(self, type_):
        return [items for _, items in self.messages if items[0] == type_]

    def wait_for(self, type_, matches=lambda items: True, timeout=5.0):
        """The first such message that comes from now on."""
        start = len(self.messages)

        def found():
            return next((m for _, m in self.messages[start:] if m[0] == type_ and matches(m)), None)

        assert self.pump(timeout, found), f"no message {type_}; last {self.messages[-3:]}"
        return found()

    def device_us(self):
        """The device's clock, as its newest message tells it."""
        return self.messages[-1][1][3]

    def send(self, type_, *fields, session=None, seq=None):
        if seq is None:
            self.seq = (self.seq + 1) % 65536
            seq = self.seq
        self.write(host_frame(type_, seq, self.session if session is None else session, 5, *fields))
        return seq

    def ask(self, type_, *fields, session=None):
        """Send a control message and return its ACK's result."""
        seq = self.send(type_, *fields, session=session)
        return self.wait_for(ACK, lambda m: m[5] == seq and m[4] == type_)[6]

    def open(self, session=77):
        self.wait_for(HELLO)
        self.session = session
        assert self.ask(OPEN, 1) == 0

    def command(self, left, right, expires_in_us=150_000):
        return self.send(CMD, left, right, (self.device_us() + expires_in_us) % PERIOD)

    def drive(self, left, right, duration, expires_in_us=150_000):
        """Send commands at 20 Hz for so long."""
        end = time.monotonic() + duration
        while time.monotonic() < end:
            self.command(left, right, expires_in_us)
            self.pump(0.05)

    def state(self):
        return self.wait_for(STATUS)[4]

    def close(self):
        for descriptor in (self.body_write, self.master, self.motor_read):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        try:
            self.process.wait(5)
        finally:
            if self.process.poll() is None:
                self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
