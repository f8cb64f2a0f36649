"""The conversation with the host: its messages to the safety state machine, and answers and reports back."""

from array import array
from micropython import const

import codec
import ticks
from safety import NO_ANSWER
from schema import (
    ARM, CLEAR, CMD, CMD_EXPIRES_US, CMD_LEFT_WHEEL, CMD_RIGHT_WHEEL, LEVEL_ERROR, LEVEL_INFO, LEVEL_WARNING,
    LOG_CODE_COMMAND_REFUSED, LOG_CODE_EXCEPTION, LOG_CODE_FRAME_INVALID, LOG_CODE_SESSION_LOST,
    LOG_CODE_SESSION_OPENED, LOG_CODE_STARTED, LOG_CODE_STOPPED, OPEN, OPEN_PROTOCOL_VERSION, POSE,
    POSE_HEADING_MRAD, POSE_X_MM, POSE_Y_MM, REBOOT, RESULT_OK, STOP, TIME_SYNC,
)

_HELLO_US = const(500000)
_STATUS_US = const(200000)
_LOG_US = const(500000)  # at most two a second
_REBOOT_US = const(50000)  # for the ACK to leave the line
_COUNTER_MAX = const(0x3FFFFFFF)

# index: fault of the schema
_FAULT_TEXTS = (
    b"no fault", b"host asked to stop", b"session lost", b"exception in the loop", b"motor driver fault",
    b"battery empty", b"all range sensors lost", b"wheels turn unasked",
    b"wheels do not turn",
)


class Session:
    def __init__(self, board, safety, odometry, receiver, outbox):
        self.frames_ok = 0
        self.reboot_requested = False
        self._board = board
        self._safety = safety
        self._odometry = odometry
        self._receiver = receiver
        self._outbox = outbox
        self._items = array("i", [0] * codec.ITEMS_MAX)
        self._said_state = safety.state
        self._said_fault = safety.fault
        self._said_session = 0
        self._hello_due_us = self._status_due_us = self._log_due_us = board.ticks_us()
        self._reboot_at_us = 0
        self._log_level = LEVEL_INFO
        self._log_code = LOG_CODE_STARTED
        self._log_text = b"started"  # one slot: the most serious of what came since the last LOG
        self._log_waits = True
        self._commands_expired = 0
        self._watchdog_started = False

    # ---- host to device ---------------------------------------------------------------------------------

    def receive(self):
        """Serve every frame that is here now."""
        receiver = self._receiver
        n = self._board.read_into(receiver.chunk)
        if not n:
            return
        received_us = self._board.ticks_us()
        receiver.load(n)
        while True:
            end = receiver.next()
            if not end:
                return
            type_ = codec.decode(receiver.body, end, self._items)
            if type_ == codec.BAD_FORM:
                receiver.count_bad()
            elif type_ == codec.REFUSED:
                self._safety.count_refused()
                self.log(LEVEL_WARNING, LOG_CODE_FRAME_INVALID, b"a frame has a wrong type or field")
            else:
                if self.frames_ok < _COUNTER_MAX:
                    self.frames_ok += 1
                self._handle(type_, received_us)

    def _handle(self, type_, now_us):
        items = self._items
        safety = self._safety
        seq, session = items[1], items[2]
        if type_ == CMD:
            safety.command(
                session, seq, items[CMD_LEFT_WHEEL], items[CMD_RIGHT_WHEEL], items[CMD_EXPIRES_US], now_us
            )
            return
        if type_ == TIME_SYNC:
            result = safety.time_sync(session, seq, now_us)
        elif type_ == STOP:
            result = safety.stop(session, seq, now_us)
        elif type_ == OPEN:
            result = safety.open(session, seq, items[OPEN_PROTOCOL_VERSION], now_us)
            if result == RESULT_OK and not self._watchdog_started:
                self._watchdog_started = True
                self._board.watchdog_start()
        elif type_ == ARM:
            result = safety.arm(session, seq, now_us)
        elif type_ == CLEAR:
            result = safety.clear(session, seq, now_us)
        elif type_ == POSE:
            result = safety.pose(session, seq, now_us)
            if result == RESULT_OK:
                self._odometry.set_pose(items[POSE_X_MM], items[POSE_Y_MM], items[POSE_HEADING_MRAD])
        else:
            result = safety.reboot(session, seq, now_us)
            if result == RESULT_OK and not self.reboot_requested:
                self.reboot_requested = True
                self._reboot_at_us = ticks.add(now_us, _REBOOT_US)
        if result != NO_ANSWER:
            # a full line drops the ACK; the host asks again
            self._outbox.ack(type_, seq, result, now_us)

    # ---- device to host ---------------------------------------------------------------------------------

    def report(self, now_us, uptime_ms, left_wheel, right_wheel, loop_overruns, loop_max_us):
        """Send whatever is due of HELLO, STATUS and LOG."""
        safety = self._safety
        changed = self._notice_changes()
        if changed or (safety.session and ticks.diff(now_us, self._status_due_us) >= 0):
            if self._outbox.status(left_wheel, right_wheel, self.frames_ok, loop_overruns, loop_max_us):
                self._said_state = safety.state
                self._said_fault = safety.fault
                self._said_session = safety.session
                self._status_due_us = ticks.add(now_us, _STATUS_US)
        if not safety.session and ticks.diff(now_us, self._hello_due_us) >= 0:
            self._outbox.hello(uptime_ms)
            self._hello_due_us = ticks.add(now_us, _HELLO_US)
        if self._log_waits and ticks.diff(now_us, self._log_due_us) >= 0:
            if self._outbox.log(self._log_level, self._log_code, self._log_text):
                self._log_waits = False
                self._log_due_us = ticks.add(now_us, _LOG_US)

    def reboot_due(self, now_us):
        return self.reboot_requested and ticks.diff(now_us, self._reboot_at_us) >= 0

    def log(self, level, code, text):
        """Have a LOG sent when its rate allows; text is ASCII bytes."""
        if not self._log_waits or level >= self._log_level:
            self._log_level = level
            self._log_code = code
            self._log_text = text
            self._log_waits = True

    def log_exception(self, text):
        self.log(LEVEL_ERROR, LOG_CODE_EXCEPTION, text)

    def _notice_changes(self):
        """Whether state, fault or session differ from the last STATUS; makes the LOGs that go with it."""
        safety = self._safety
        if safety.commands_expired != self._commands_expired:
            self._commands_expired = safety.commands_expired
            self.log(LEVEL_WARNING, LOG_CODE_COMMAND_REFUSED, b"command came after its expiry")
        if (
            safety.state == self._said_state
            and safety.fault == self._said_fault
            and safety.session == self._said_session
        ):
            return False
        if safety.session != self._said_session:
            if safety.session:
                self.log(LEVEL_INFO, LOG_CODE_SESSION_OPENED, b"session opened")
            else:
                self.log(LEVEL_WARNING, LOG_CODE_SESSION_LOST, b"no frame from the host: session lost")
                self._hello_due_us = self._board.ticks_us()
        if safety.fault != self._said_fault and safety.latched:
            self.log(LEVEL_WARNING, LOG_CODE_STOPPED, _FAULT_TEXTS[safety.fault])
        return True
