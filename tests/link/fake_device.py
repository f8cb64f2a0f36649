"""A robot on a pty, in a thread: enough of PROTOCOL.md to hold a conversation, and switches to misbehave."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import time
import tty

from jepa_bridge.link.codec import decode_payload, frame_of
from jepa_bridge.link.frame import FrameReader
from jepa_bridge.link.schema import (
    PROTOCOL_VERSION,
    SCHEMA_HASH,
    Ack,
    Arm,
    Clear,
    Cmd,
    Fault,
    Hello,
    HostMessage,
    Open,
    ResetCause,
    Result,
    Sensor,
    State,
    Status,
    Stop,
)

TICKS = 1 << 30


class FakeDevice:
    def __init__(
        self,
        *,
        hello: bool = True,
        protocol_version: int = PROTOCOL_VERSION,
        schema_hash: bytes = SCHEMA_HASH,
        uid: bytes = b"\x01\x02\x03\x04",
        text: bytes = b"",
        ticks_at_start: int = TICKS - 1_500_000,  # wraps 1.5 s into every test
        symlink: str | None = None,
    ) -> None:
        self.hello = hello
        self.protocol_version = protocol_version
        self.schema_hash = schema_hash
        self.uid = uid
        self.text = text
        self.boot_id = 7
        self.state = State.IDLE
        self.session = 0
        self.received: list[HostMessage] = []
        self.bytes_in = bytearray()
        self.deaf_to: set[int] = set()  # types that are received and not answered
        self.answer_late: dict[int, int] = {}  # type -> how many more of it stay unanswered
        self.sensors = True  # False: SENSOR stops
        self.reading = True  # False: the line fills up
        self.refuse: dict[int, Result] = {}
        self._seq = 0
        self._start = time.monotonic()
        self._ticks_at_start = ticks_at_start
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)  # otherwise what we write is echoed to us while nobody has the port open
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._reader = FrameReader()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()

    def pull(self) -> None:
        """The cable is pulled."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    def reboot(self) -> None:
        self.boot_id += 1
        self._seq = 0
        self.lose_session()

    def lose_session(self) -> None:
        self.session, self.state = 0, State.IDLE

    def of(self, kind: type[HostMessage]) -> list[HostMessage]:
        return [message for message in list(self.received) if type(message) is kind]

    def ticks(self) -> int:
        return (self._ticks_at_start + int((time.monotonic() - self._start) * 1e6)) % TICKS

    def send(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody reads: a real line drops it too
            os.write(self._master, data)

    def _head(self) -> tuple[int, int, int]:
        self._seq = (self._seq + 1) % 65536
        return self._seq, self.session, self.ticks()

    def send_hello(self) -> None:
        self.send(
            frame_of(
                Hello(
                    *self._head(), self.protocol_version, self.schema_hash, self.uid, self.boot_id, "9.8.7", "fake",
                    ResetCause.POWER_ON, 0, 50, 2000, 80, 500, 0,
                )
            )
        )  # fmt: skip

    def send_sensor(self) -> None:
        self.send(frame_of(Sensor(*self._head(), (1000,) * 8, (5,) * 8, 0, 0, 0, 0, 0, 0, 0, 7400, 0)))

    def send_status(self) -> None:
        self.send(frame_of(Status(*self._head(), self.state, Fault.NONE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))

    def _run(self) -> None:
        now = time.monotonic()
        due = {"hello": now, "sensor": now, "status": now}
        periods = {"hello": 0.5, "sensor": 0.02, "status": 0.2}
        if self.text:
            self.send(self.text)
        while not self._ending.is_set():
            if not self.reading:
                time.sleep(0.002)
            elif select.select([self._master], [], [], 0.002)[0]:
                self._read()
            now = time.monotonic()
            for what, period in periods.items():
                if now >= due[what]:
                    due[what] = now + period
                    if what == "hello":
                        if self.hello and self.session == 0:
                            self.send_hello()
                    elif self.session and what == "status":
                        self.send_status()
                    elif self.session and self.sensors:
                        self.send_sensor()

    def _read(self) -> None:
        data = os.read(self._master, 4096)
        self.bytes_in += data
        received_us = self.ticks()
        for payload in self._reader.feed(data):
            message = decode_payload(payload)
            assert not isinstance(message, Hello | Sensor | Status | Ack), message
            self.received.append(message)  # type: ignore[arg-type]
            self._answer(message, received_us)  # type: ignore[arg-type]

    def _answer(self, message: HostMessage, received_us: int) -> None:
        number = message.TYPE
        if isinstance(message, Cmd):
            if message.session == self.session and self.state is State.ARMED:
                self.state = State.DRIVING
            return
        if number in self.deaf_to:
            return
        if self.answer_late.get(number, 0):
            self.answer_late[number] -= 1
            return
        result = self.refuse.get(number, Result.OK)
        if result is Result.OK:
            if isinstance(message, Open):
                self.session, self.state = message.session, State.OPEN
            elif message.session != self.session:
                result = Result.WRONG_SESSION
            elif isinstance(message, Arm):
                if self.state is State.STOPPED:
                    result = Result.FAULT_PRESENT
                else:
                    self.state = State.ARMED
            elif isinstance(message, Stop):
                self.state = State.STOPPED
            elif isinstance(message, Clear):
                self.state = State.OPEN
        self.send(frame_of(Ack(*self._head(), number, message.seq, result, received_us)))
        if isinstance(message, Arm | Stop | Clear):
            self.send_status()
