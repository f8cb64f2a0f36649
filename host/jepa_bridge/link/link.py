"""The live connection: a reader thread, a writer thread, and one `Session` between them.

The reader takes bytes, answers what must be answered at once and calls back; neither a busy planner nor a port that
takes nothing can hold it up. The writer alone waits for the port. Callbacks must return quickly: `on_sensor`,
`on_rejected` and `on_message` come from the reader, `on_frame` from either thread.

    transport = open_transport("/dev/ttyUSB0")
    link = Link(transport, Clock(transport.time_scale), on_sensor=print)
    link.start()
    hello = link.wait_ready()
    link.arm()
    link.command(20, 20)        # again every 50 ms: it ends by itself after 150 ms
    link.close()                # sends STOP first
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.codec import body_of_payload, decode, encode, frame_of_body
from jepa_bridge.link.frame import FrameError, FrameReader
from jepa_bridge.link.no_hello import no_hello
from jepa_bridge.link.outbox import Outbox
from jepa_bridge.link.schema import Pose, Result, Sensor, StopReason
from jepa_bridge.link.session import CLOCK_BOUND_MAX_US, COMMAND_EXPIRY_US, Health, Phase, Request, Session
from jepa_bridge.link.stats import LinkStats

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from jepa_bridge.link.clock import Clock
    from jepa_bridge.link.schema import Cmd, Hello, Message, State, Status
    from jepa_bridge.link.transport import Transport

RECONNECT_FIRST_S = 0.1
RECONNECT_MOST_S = 2.0
LAST_STOP_S = 0.35  # how long `close` waits for its STOP's ACK: four sendings on a line that loses some
IDLE_S = 0.1  # how often an idle writer looks whether it shall end
JOIN_S = 2.0
BAD_REASONS = frozenset({"length", "magic", "crc", "cbor-form", "trailing"})  # the frame; other reasons: its content


class Link:
    """One robot on one port. All methods may be called from any thread."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        on_sensor: Callable[[Sensor, int, int], None] | None = None,
        on_frame: Callable[[str, bytes, int], None] | None = None,
        on_rejected: Callable[[bytes, str, int], None] | None = None,
        on_message: Callable[[Message, int], None] | None = None,
        *,
        on_lost: Callable[[BridgeError], None] | None = None,
        reopen: Callable[[], Transport] | None = None,
        pause: Callable[[threading.Event, float], bool] = threading.Event.wait,
        rng: random.Random | None = None,
    ) -> None:
        """Nothing is read or written before `start`.

        on_sensor(sensor, t_host_us, t_device_us): a SENSOR of our session; the device's time is unwrapped.
        on_frame("device" | "host", body, t_host_us): every CBOR body that was accepted or written, for the record.
        on_rejected(data, reason, t_host_us): what was not accepted; a body, a payload or bytes outside of frames.
        on_message(message, t_host_us): every other accepted message.
        on_lost(error): the port broke. With `reopen` the link then opens it again by itself, for as long as it is not
        closed, and comes back disarmed; without, every later call raises the error.
        pause(closing, delay_s): waits between two such tries, and may end early; True once `closing` is set.
        """
        self.clock = clock
        self.error: BridgeError | None = None  # why this link has ended
        self._transport = transport
        self._on_sensor = on_sensor
        self._on_frame = on_frame
        self._on_rejected = on_rejected
        self._on_message = on_message
        self._on_lost = on_lost
        self._reopen = reopen
        self._pause = pause
        self._session = Session(rng)
        self._changed = threading.Condition()  # guards the session; notified after every message
        self._reader = FrameReader(self._reject_garbage)
        self._outbox = Outbox()
        self._closing = threading.Event()
        self._restarted = False
        self._writing = threading.Lock()  # held while the writer uses the transport: it is not closed under it
        self._write_error: BridgeError | None = None
        self._frames_out = 0
        self._writes_timed_out = 0
        self._bad = 0
        self._refused = 0
        self._reconnects = 0
        self._threads = [
            threading.Thread(target=self._run, args=(loop,), name=name, daemon=True)
            for loop, name in ((self._read_loop, "link-reader"), (self._write_loop, "link-writer"))
        ]

    # ---- for the caller ----

    @property
    def hello(self) -> Hello | None:
        """What the robot said of itself; None while there is no robot."""
        return self._session.hello

    @property
    def status(self) -> Status | None:
        """The robot's last STATUS of this session."""
        return self._session.status

    @property
    def state(self) -> State | None:
        """The robot's state by its last STATUS."""
        return self._session.state

    @property
    def armed(self) -> bool:
        """Whether commands are given out."""
        return self._session.armed

    @property
    def port(self) -> str:
        """The name of the port, which a reconnection may change."""
        return self._transport.name

    def ready(self) -> bool:
        """Whether a session is open, its clock known and its state told; `wait_ready` waits for it."""
        with self._changed:
            return self._ready()

    def start(self) -> None:
        """Begin to read. Nothing is written until a robot said HELLO."""
        for thread in self._threads:
            thread.start()

    def wait_ready(self, timeout_s: float = 5.0) -> Hello:
        """Wait until a session is open, its clock known and its state told; also after a reconnection.

        `timeout_s` is real time. Raises `no-hello` (saying what came instead), `incompatible-protocol`,
        `incompatible-schema`, `different-robot`, `robot-refused`, `no-answer`, `clock-uncertain`, `link-lost`.
        """
        with self._changed:
            self._wait_for(lambda: self._session.error is not None or self._ready(), timeout_s)
            self._raise_if_ended()
            hello = self._session.hello
            if self._ready() and hello is not None:
                return hello
            if hello is None:
                raise no_hello(self._reader, self._transport.name, timeout_s)
            if self._session.phase is not Phase.OPEN or self._session.status is None:
                raise self._no_answer("OPEN")
            bound_us = self._session.clock.bound_us(self.clock.now_us())
            raise BridgeError(
                "clock-uncertain",
                f"the robot's clock is known to {bound_us / 1000:.0f} ms, expected {CLOCK_BOUND_MAX_US // 1000} ms",
                "the port delays: avoid hubs and network ports, or lower the load of this machine",
                status=Exit.LINK_LOST,
            )

    def arm(self, timeout_s: float = 2.0) -> None:
        """Allow movement. Raises `robot-refused` with the robot's reason, `no-answer`, `no-session`."""
        self._ask(self._session.request_arm, "ARM", timeout_s)

    def request_arm(self) -> Request:
        """As `arm`, for callers that do not wait: its `done` tells when it has an end, `armed` how it went."""
        return self._begin(self._session.request_arm)

    def clear(self, timeout_s: float = 2.0) -> None:
        """Leave STOPPED. Raises like `arm`."""
        self._ask(self._session.request_clear, "CLEAR", timeout_s)

    def set_pose(self, x_mm: int, y_mm: int, heading_mrad: int, timeout_s: float = 2.0) -> None:
        """Tell the robot where it stands; not while armed. Raises like `arm`; FrameError for values off the wire."""
        encode(Pose(0, 0, 0, x_mm, y_mm, heading_mrad))
        self._ask(lambda: self._session.request_pose(x_mm, y_mm, heading_mrad), "POSE", timeout_s)

    def reboot(self, timeout_s: float = 2.0) -> None:
        """Restart the robot's microcontroller; it comes back with a new session, disarmed. Raises like `arm`."""
        self._ask(self._session.request_reboot, "REBOOT", timeout_s)
        self._restarted = True

    def stop(self, reason: StopReason = StopReason.OPERATOR, *, wait: bool = True, timeout_s: float = 2.0) -> None:
        """Stop and latch. From here on no command is given out, whatever the robot answers.

        With `wait` it raises if the robot did not confirm; without, it never raises.
        """
        if wait:
            self._ask(lambda: self._session.request_stop(reason), "STOP", timeout_s)
        else:
            self._begin(lambda: self._session.request_stop(reason))

    def command(self, left_wheel: int, right_wheel: int, expires_in_us: int = COMMAND_EXPIRY_US) -> Cmd | None:
        """Send wheel units (-80..80) that hold until they expire; the newest wins. None if none may be sent now.

        Raises only once the link has ended, or `incompatible-...` if another firmware came up.
        """
        self._raise_if_ended()
        with self._changed:
            command = self._session.command(
                left_wheel, right_wheel, now_us=self.clock.now_us(), expires_in_us=expires_in_us
            )
            if command is not None:
                self._outbox.put([command])
            return command

    def health(self) -> Health:
        """How fresh the sensors are; LOST without a session."""
        with self._changed:
            return Health.LOST if self.error else self._session.health(self.clock.now_us())

    def stats(self) -> LinkStats:
        """Counts and clock, now."""
        with self._changed:
            session, counters = self._session, self._session.counters
            synced = session.clock.exchanges > 0
            bound_us = session.clock.bound_us(self.clock.now_us())
            return LinkStats(
                frames_in=counters.accepted,
                frames_out=self._frames_out,
                frames_bad=self._bad + self._reader.frames_bad,
                frames_refused=self._refused + counters.refused,
                garbage_bytes=self._reader.garbage_bytes,
                missed_frames=counters.missed,
                sensors=counters.sensors,
                commands_superseded=self._outbox.superseded,
                writes_timed_out=self._writes_timed_out,
                sessions=counters.sessions,
                sessions_lost=counters.sessions_lost,
                reboots=counters.reboots,
                reconnects=self._reconnects,
                rtt_us=session.clock.round_trip_us if synced else None,
                clock_bound_us=bound_us if synced else None,
            )

    def close(self) -> None:
        """Send STOP, best effort, and give the port back. May be called twice; never raises."""
        if self._closing.is_set():
            return
        if not self._restarted:  # a robot that restarts has stopped, and has nobody to answer
            request = self._begin(lambda: self._session.request_stop(StopReason.HOST_EXIT))
            with self._changed:
                self._wait_for(lambda: request.done, LAST_STOP_S)
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(JOIN_S)
        self._transport.close()

    # ---- requests ----

    def _ready(self) -> bool:
        return self._session.ready(self.clock.now_us())

    def _wait_for(self, done: Callable[[], bool], timeout_s: float) -> None:
        """Wait, with `_changed` held, for `done` or the link's end; real time, as a person waits."""
        self._changed.wait_for(lambda: self.error is not None or done(), timeout_s)

    def _begin(self, make: Callable[[], Request]) -> Request:
        with self._changed:
            request = make()
            self._outbox.put(self._session.tick(self.clock.now_us()))
            return request

    def _ask(self, make: Callable[[], Request], what: str, timeout_s: float) -> None:
        self._raise_if_ended()
        request = self._begin(make)
        with self._changed:
            self._wait_for(lambda: request.done, timeout_s)
        self._raise_if_ended()
        if request.result is Result.OK:
            return
        if request.result is not None:
            raise BridgeError(
                "robot-refused",
                f"the robot refused {what}: {request.result.name.lower()}",
                "it is stopped: clear it first" if request.result is Result.FAULT_PRESENT else "",
                status=Exit.ROBOT_REFUSED,
            )
        if request.failure in ("no-session", "session-lost"):
            raise BridgeError(
                request.failure,
                f"{what} was not done: there is no open session with the robot",
                "wait until the robot is back",
                status=Exit.LINK_LOST,
            )
        raise self._no_answer(what)

    def _no_answer(self, what: str) -> BridgeError:
        return BridgeError(
            "no-answer",
            f"the robot did not answer {what}",
            "it hears nothing or too late: look at the cable, and at other programs on this port",
            status=Exit.LINK_LOST,
        )

    def _raise_if_ended(self) -> None:
        error = self.error or self._session.error
        if error is not None:
            raise error

    # ---- threads ----

    def _run(self, loop: Callable[[], None]) -> None:
        """A thread that dies of a bug must not die silently: the link ends, and the robot stops by its own clock."""
        try:
            loop()
        except Exception as error:
            ended = BridgeError(
                "link-failed", f"the link failed: {type(error).__name__}: {error}", "please report this"
            )
            ended.__cause__ = error
            self._end(ended)

    def _end(self, error: BridgeError) -> None:
        with self._changed:
            if self.error is None:
                self.error = error
            self._changed.notify_all()

    def _read_loop(self) -> None:
        while not self._closing.is_set() and self.error is None:
            try:
                data = self._transport.read()
                if self._write_error is not None:
                    raise self._write_error
            except BridgeError as error:
                self._recover(error)
                continue
            now_us = self.clock.now_us()
            for payload in self._reader.feed(data) if data else ():
                self._take(payload, now_us)
            with self._changed:
                self._outbox.put(self._session.tick(now_us))
                self._changed.notify_all()  # a request may have run out of sendings, a clock out of its bound

    def _take(self, payload: bytes, now_us: int) -> None:
        try:
            body = body_of_payload(payload)
            message = decode(body)
        except FrameError as error:
            self._bad += error.reason in BAD_REASONS
            self._refused += error.reason not in BAD_REASONS
            self._reject(payload, error.reason, now_us)
            return
        with self._changed:
            self._outbox.put(self._session.on_message(message, now_us))
            refusal, device_us = self._session.refusal, self._session.device_us
            self._changed.notify_all()
        if refusal:
            self._reject(body, refusal, now_us)
            return
        if self._on_frame is not None:
            self._on_frame("device", body, now_us)
        if isinstance(message, Sensor):
            if self._on_sensor is not None:
                self._on_sensor(message, now_us, device_us)
        elif self._on_message is not None:
            self._on_message(message, now_us)

    def _reject(self, data: bytes, reason: str, now_us: int) -> None:
        if self._on_rejected is not None:
            self._on_rejected(data, reason, now_us)

    def _reject_garbage(self, chunk: bytes, reason: str) -> None:
        self._reject(chunk, reason, self.clock.now_us())

    def _recover(self, error: BridgeError) -> None:
        """The port broke: end the link, or open the port again."""
        with self._changed:
            self._session.disconnect()
            self._outbox.clear()
            self._changed.notify_all()
        if self._on_lost is not None:
            self._on_lost(error)
        if self._reopen is None:
            self._end(error)
            return
        with self._writing:
            self._transport.close()
        delay_s = RECONNECT_FIRST_S
        while not self._pause(self._closing, delay_s):
            try:
                transport = self._reopen()
            except BridgeError:  # still away, or not yet ours: udev sets the permissions after the device is there
                delay_s = min(2 * delay_s, RECONNECT_MOST_S)
                continue
            with self._writing:
                self._transport = transport
                self._outbox.clear()
                self._write_error = None
            self._reader.reset()
            self._reconnects += 1
            return

    def _write_loop(self) -> None:
        while not self._closing.is_set() and self.error is None:
            body = self._outbox.take(IDLE_S)
            if body is None:
                continue
            with self._writing:
                if self._write_error is not None:
                    continue  # the reader is about to open the port again
                try:
                    written = self._transport.write(frame_of_body(body))
                except BridgeError as error:
                    self._write_error = error
                    continue
            if not written:
                self._writes_timed_out += 1
                continue
            self._frames_out += 1
            if self._on_frame is not None:
                self._on_frame("host", body, self.clock.now_us())
