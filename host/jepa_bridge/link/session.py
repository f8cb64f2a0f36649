"""The conversation with one robot, without I/O: messages and times go in, messages to send come out.

Silent until a valid HELLO of our protocol version and schema came; then OPEN, the clock exchange, and whatever is
requested. A HELLO in the middle of a session means that the robot lost it: everything is opened anew, disarmed.
PROTOCOL.md holds the rules; the timers below are its timers. Not thread-safe: `Link` holds a lock around it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.clock import TICKS_PERIOD_US, TickUnwrapper
from jepa_bridge.link.compatibility import another_robot, incompatibility
from jepa_bridge.link.exchange import RETRY_US, SENDINGS_MAX, ClockExchange
from jepa_bridge.link.schema import (
    PROTOCOL_VERSION,
    Ack,
    Arm,
    Clear,
    Cmd,
    Hello,
    HostMessage,
    Log,
    Message,
    Open,
    Pose,
    Reboot,
    Result,
    Sensor,
    State,
    Status,
    Stop,
    StopReason,
    TimeSync,
)
from jepa_bridge.types import WHEEL_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.link.clock import ClockSync

COMMAND_EXPIRY_US = 150_000  # three periods of the 20 Hz command rate
CLOCK_BOUND_MAX_US = 25_000  # beyond it a command's expiry, in the device's time, would say too little
DEGRADED_AFTER_US = 100_000  # no SENSOR (50 Hz) for this long
LOST_AFTER_US = 500_000


class Phase(StrEnum):
    """Where the conversation stands."""

    WAITING = "waiting"  # for a HELLO; nothing is sent
    OPENING = "opening"  # OPEN is sent
    OPEN = "open"


class Health(StrEnum):
    """How fresh the sensors are."""

    OK = "ok"
    DEGRADED = "degraded"
    LOST = "lost"


@dataclass(slots=True, eq=False)
class Request:
    """A control message on its way to its ACK. Done when `result` or `failure` is set."""

    build: Callable[[int, int, int], HostMessage]  # (seq, session, t_us)
    of_type: int
    seqs: list[int] = field(default_factory=list)  # of every sending: an ACK names one of them
    next_us: int = 0  # when to send it again
    result: Result | None = None
    failure: str = ""  # "no-answer", "session-lost", "no-session", "superseded"

    @property
    def done(self) -> bool:
        """Whether waiting for it has an end."""
        return self.result is not None or bool(self.failure)


@dataclass(slots=True)
class Counters:
    """What happened since the session object was made."""

    accepted: int = 0  # messages of the robot that were acted on
    refused: int = 0  # good frames with a wrong session or sequence
    missed: int = 0  # gaps in the robot's sequence numbers
    sensors: int = 0
    sessions: int = 0  # opened and acknowledged
    sessions_lost: int = 0  # by the robot: HELLO came in the middle, or it answered wrong_session
    reboots: int = 0  # new boot ids


class Session:
    """One robot's session: handshake, clock, requests, commands, and what the robot last said of itself."""

    def __init__(self, rng: random.Random | None = None) -> None:
        """`rng` draws session numbers and the first sequence number; give a seeded one to repeat a run."""
        self._rng = rng or random.Random()
        self._seq = self._rng.randrange(65536)
        self.phase = Phase.WAITING
        self.session = 0
        self.hello: Hello | None = None  # of the robot we talk to, or would
        self.uid: bytes | None = None  # the first robot met; another one on the same port is refused
        self.status: Status | None = None  # the latest of this session
        self.armed = False
        self.error: BridgeError | None = None  # why we stay silent
        self.refusal = ""  # why the last message was not acted on; "" if it was
        self.device_us = 0  # device clock of the last accepted message, unwrapped
        self.counters = Counters()
        self._exchange = ClockExchange()
        self._unwrapper = TickUnwrapper()
        self._former: tuple[int, Hello] | None = None  # the session that a broken port cut off, and with whom
        self._device_seq: int | None = None
        self._requests: dict[int, Request] = {}
        self._unsent: list[HostMessage] = []
        self._fresh_us = 0  # when the last SENSOR came, or the session opened

    # ---- what the caller may ask ----

    @property
    def clock(self) -> ClockSync:
        """What is known of the robot's clock in this session."""
        return self._exchange.estimate

    @property
    def state(self) -> State | None:
        """The robot's state from its last STATUS; None while there is none in this session."""
        return self.status.state if self.status else None

    def ready(self, now_us: int) -> bool:
        """Open, with a clock that commands can be timed by, and with a first STATUS."""
        return (
            self.phase is Phase.OPEN
            and self.status is not None
            and self._exchange.settled
            and self.clock.bound_us(now_us) <= CLOCK_BOUND_MAX_US
        )

    def health(self, now_us: int) -> Health:
        """By the age of the last SENSOR; LOST without a session."""
        age_us = now_us - self._fresh_us
        if self.phase is not Phase.OPEN or age_us > LOST_AFTER_US:
            return Health.LOST
        return Health.DEGRADED if age_us > DEGRADED_AFTER_US else Health.OK

    def request_arm(self) -> Request:
        """Allow movement."""
        return self._request(Arm)

    def request_stop(self, reason: StopReason = StopReason.OPERATOR) -> Request:
        """Stop and latch. From this call on no command is given out, acknowledged or not."""
        self.armed = False
        for number in (Arm.TYPE, Clear.TYPE):
            self._end(number, "superseded")  # sent again after the STOP, they would undo it
        return self._request(lambda seq, session, t_us: Stop(seq, session, t_us, reason), Stop.TYPE)

    def request_clear(self) -> Request:
        """Leave STOPPED."""
        return self._request(Clear)

    def request_pose(self, x_mm: int, y_mm: int, heading_mrad: int) -> Request:
        """Tell the robot where it stands; it refuses while armed."""
        return self._request(lambda seq, session, t_us: Pose(seq, session, t_us, x_mm, y_mm, heading_mrad), Pose.TYPE)

    def request_reboot(self) -> Request:
        """Restart the microcontroller; it refuses while driving."""
        return self._request(Reboot)

    def command(
        self, left_wheel: int, right_wheel: int, *, now_us: int, expires_in_us: int = COMMAND_EXPIRY_US
    ) -> Cmd | None:
        """A command in wheel units (-80..80) that ends by itself, or None where none may be given.

        None: not open and armed, a STOP under way, the device's clock not known to 25 ms, or sensors lost. The expiry
        is cut to what the robot accepts; a robot that announces a smaller `wheel_max` gets at most that.
        """
        if not (-WHEEL_UNITS <= left_wheel <= WHEEL_UNITS and -WHEEL_UNITS <= right_wheel <= WHEEL_UNITS):
            raise ValueError(f"expected wheels in -{WHEEL_UNITS}..{WHEEL_UNITS}, got {left_wheel}, {right_wheel}")
        bound_us = self.clock.bound_us(now_us)
        if (
            self.hello is None
            or not self.armed
            or Stop.TYPE in self._requests
            or bound_us > CLOCK_BOUND_MAX_US
            or self.health(now_us) is Health.LOST
        ):
            return None
        most = min(WHEEL_UNITS, self.hello.wheel_max)
        # the robot may receive it while its clock is `bound` behind our estimate: that must not look like too long
        expires_in_us = min(expires_in_us, self.hello.expiry_max_ms * 1000 - bound_us)
        return Cmd(
            self._next_seq(),
            self.session,
            now_us % TICKS_PERIOD_US,
            max(-most, min(most, left_wheel)),
            max(-most, min(most, right_wheel)),
            (self.clock.device_now(now_us) + expires_in_us) % TICKS_PERIOD_US,
        )

    def disconnect(self) -> None:
        """The port is gone. What the robot said before is void; the same robot must say HELLO again.

        Or be heard in the session that was cut off: for 2 s it goes on in it and says no HELLO, and nobody else knows
        its number.
        """
        if self.phase is Phase.OPEN and self.hello is not None:
            self._former = self.session, self.hello
        self._void("session-lost")
        self.hello = None
        self._device_seq = None

    # ---- what comes in ----

    def on_message(self, message: Message, now_us: int) -> list[Message]:
        """Take one message of the robot, received at `now_us`; returns what to send in answer.

        Afterwards `refusal` says whether it was acted on, and `device_us` when the robot sent it.
        """
        if self.hello is None and self._former is not None and message.session == self._former[0]:
            self._unwrapper = TickUnwrapper()
            self._open(self._former[1], now_us)
        self.refusal = self._refuse(message)
        if self.refusal:
            self.counters.refused += 1
            return self._take_unsent()
        self.counters.accepted += 1
        if isinstance(message, Hello):
            self._on_hello(message, now_us)
        self.device_us = self._unwrapper.unwrap(message.t_us)
        if isinstance(message, Sensor):
            self.counters.sensors += 1
            self._fresh_us = now_us
        elif isinstance(message, Status):
            self.status = message
            if message.state not in (State.ARMED, State.DRIVING):
                self.armed = False
        elif isinstance(message, Ack):
            self._on_ack(message, now_us)
        return self._take_unsent()

    def tick(self, now_us: int) -> list[Message]:
        """What is due at `now_us`: new requests, retransmissions, the clock exchange. Call it at least every 20 ms."""
        for number, request in list(self._requests.items()):
            if now_us >= request.next_us:
                if len(request.seqs) >= SENDINGS_MAX:
                    self._end(number, "no-answer")
                    if number == Open.TYPE:
                        self.phase = Phase.WAITING  # the robot's next HELLO starts it again
                else:
                    self._send(request, now_us)
        if self.phase is Phase.OPEN and now_us >= self._exchange.next_us:
            self._send_sync(now_us)
        return self._take_unsent()

    # ---- how ----

    def _refuse(self, message: Message) -> str:
        """Why `message` must not be acted on ("" if it may); follows the robot's sequence numbers."""
        if not isinstance(message, Hello | Sensor | Status | Ack | Log):
            return "direction"  # one of our own kind: a loop in the wiring, or an echo
        if isinstance(message, Hello) and (self.hello is None or message.boot_id != self.hello.boot_id):
            self._device_seq = message.seq  # a new boot counts from anywhere
            return ""
        if self.hello is None:
            return "before-hello"
        if self._device_seq is not None:
            ahead = (message.seq - self._device_seq) % 65536
            if not 0 < ahead < 32768:
                return "seq"
            self.counters.missed += ahead - 1
        self._device_seq = message.seq
        if isinstance(message, Hello | Log):
            return ""  # HELLO is outside of sessions, LOG is only shown
        if message.session == self.session and self.phase is not Phase.WAITING:
            return ""
        if isinstance(message, Ack) and message.result is not Result.OK and self._awaited(message):
            return ""  # "wrong session" cannot come in the session
        return "session"

    def _on_hello(self, hello: Hello, now_us: int) -> None:
        rebooted = self.hello is None or hello.boot_id != self.hello.boot_id
        if self.phase is Phase.OPENING and not rebooted:
            return  # it left before our OPEN arrived
        if self.phase is not Phase.WAITING:
            self.counters.sessions_lost += self.phase is Phase.OPEN
            self._void("session-lost")
        if rebooted:
            self.counters.reboots += self.hello is not None
            self._unwrapper = TickUnwrapper()
        self.hello = hello
        self.error = incompatibility(hello)
        if self.error is None and self.uid is not None and self.uid != hello.uid:
            self.error = another_robot(self.uid, hello)
        if self.error is not None:
            return
        self._open(hello, now_us)

    def _open(self, hello: Hello, now_us: int) -> None:
        """Begin a new session with that robot."""
        self._former = None
        self.hello = hello
        self.uid = hello.uid
        self.session = self._rng.randrange(1, TICKS_PERIOD_US)
        self.phase = Phase.OPENING
        request = Request(lambda seq, session, t_us: Open(seq, session, t_us, PROTOCOL_VERSION), Open.TYPE)
        self._requests[Open.TYPE] = request
        self._send(request, now_us)

    def _awaited(self, ack: Ack) -> bool:
        if ack.of_type == TimeSync.TYPE:
            return self._exchange.awaits(ack.of_seq)
        request = self._requests.get(ack.of_type)
        return request is not None and ack.of_seq in request.seqs

    def _on_ack(self, ack: Ack, now_us: int) -> None:
        if not self._awaited(ack):
            return  # a second answer to something that was sent twice
        if ack.result is Result.WRONG_SESSION:
            self.counters.sessions_lost += 1
            self._void("session-lost")  # its HELLO follows
            return
        if ack.of_type == TimeSync.TYPE:
            self._on_sync_ack(ack, now_us)
            return
        request = self._requests.pop(ack.of_type)
        request.result = ack.result
        if ack.of_type == Open.TYPE:
            self._on_open_ack(ack, now_us)
        elif ack.of_type == Arm.TYPE:
            self.armed = ack.result is Result.OK
        elif ack.of_type == Reboot.TYPE and ack.result is Result.OK:
            self.armed = False

    def _on_open_ack(self, ack: Ack, now_us: int) -> None:
        if ack.result is not Result.OK:
            self._void("session-lost")
            self.error = BridgeError(
                "robot-refused",
                f"the robot refused to open a session: {ack.result.name.lower()}",
                "restart the robot and try again",
                status=Exit.ROBOT_REFUSED,
            )
            return
        self.phase = Phase.OPEN
        self.counters.sessions += 1
        self._fresh_us = now_us
        self._send_sync(now_us)

    def _on_sync_ack(self, ack: Ack, now_us: int) -> None:
        near = self._unwrapper.near
        if self._exchange.answered(ack.of_seq, near(ack.received_us), near(ack.t_us), now_us):
            self._send_sync(now_us)

    def _send_sync(self, now_us: int) -> None:
        if self._exchange.may_send(now_us):
            message = TimeSync(self._next_seq(), self.session, now_us % TICKS_PERIOD_US)
            self._exchange.sent(message.seq, now_us)
            self._unsent.append(message)

    def _request(self, build: Callable[[int, int, int], HostMessage], of_type: int = 0) -> Request:
        """Note a request for the next `tick`. Message classes carry their own type number."""
        of_type = of_type or getattr(build, "TYPE", 0)
        request = Request(build, of_type)
        if self.phase is not Phase.OPEN:
            request.failure = "no-session"
            return request
        self._end(of_type, "superseded")
        self._requests[of_type] = request
        return request

    def _send(self, request: Request, now_us: int) -> None:
        message = request.build(self._next_seq(), self.session, now_us % TICKS_PERIOD_US)
        request.seqs.append(message.seq)
        request.next_us = now_us + RETRY_US
        self._unsent.append(message)

    def _end(self, of_type: int, failure: str) -> None:
        request = self._requests.pop(of_type, None)
        if request is not None:
            request.failure = failure

    def _void(self, failure: str) -> None:
        """Forget the session: nothing of it may reach the next one, least of all being armed."""
        for number in list(self._requests):
            self._end(number, failure)
        self.phase = Phase.WAITING
        self.session = 0
        self.armed = False
        self.status = None
        self._exchange = ClockExchange()
        self._unsent.clear()

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) % 65536
        return self._seq

    def _take_unsent(self) -> list[Message]:
        taken: list[Message] = list(self._unsent)
        self._unsent.clear()
        return taken
