"""The safety state machine: who may move the wheels, until when, and what stops them. PROTOCOL.md, "Device states".

Pure: integers in, integers out, no clock and no I/O of its own, so that it can be tested transition by transition.
Times are device microseconds modulo 2^30. A handler returns the result to put into the ACK, or NO_ANSWER.
"""

from micropython import const

import ticks
from schema import (
    FAULT_HOST_STOP, FAULT_LOOP_EXCEPTION, FAULT_MOTOR_DRIVER, FAULT_NONE, FAULT_SESSION_LOST, PROTOCOL_VERSION,
    RESULT_FAULT_PRESENT, RESULT_OK, RESULT_OUT_OF_RANGE, RESULT_WRONG_SESSION, RESULT_WRONG_STATE,
    RESULT_WRONG_VERSION, STATE_ARMED, STATE_BOOT, STATE_DRIVING, STATE_IDLE, STATE_OPEN, STATE_STOPPED,
)

EXPIRY_MAX_MS = const(500)  # a command may not ask for longer; announced in HELLO
_EXPIRY_MAX_US = const(500000)
_SILENCE_MAX_US = const(2000000)  # no valid frame of the session for so long: the host is gone

NO_ANSWER = const(-1)  # refused without an ACK

_SEQ_MASK = const(0xFFFF)
_SEQ_HALF = const(0x8000)
_SEQ_LAG_MAX = const(0x4000)
_COUNTER_MAX = const(0x3FFFFFFF)


def newer(a, b):
    """Whether sequence number a comes after b, modulo 65536."""
    return 0 < (a - b) & _SEQ_MASK < _SEQ_HALF


class Safety:
    def __init__(self):
        self.state = STATE_BOOT
        self.fault = FAULT_NONE
        self.latched = False  # outlives the session: the next OPEN lands in STOPPED
        self.session = 0
        self.left = 0  # where the ramp should go, wheel units
        self.right = 0
        self.cmd_seq = 0  # of the last applied command
        self.frames_refused = 0
        self.commands_expired = 0
        self._condition = FAULT_NONE  # a fault that is still there, so CLEAR and ARM are refused
        self._seq = 0  # newest of the session
        self._seen_cmd_seq = 0  # of the last command, applied or refused
        self._expires_us = 0
        self._heard_us = 0

    def started(self):
        self.state = STATE_IDLE

    def cut(self):
        """Whether the output must go off without the ramp: nothing that would carry out a ramp can be trusted."""
        # either fault is latched for as long as it is on show
        return self.fault == FAULT_MOTOR_DRIVER or self.fault == FAULT_LOOP_EXCEPTION

    # ---- messages ---------------------------------------------------------------------------------------

    def open(self, session, seq, version, now_us):
        if version != PROTOCOL_VERSION:
            return RESULT_WRONG_VERSION
        if session == 0:
            return RESULT_OUT_OF_RANGE
        if session == self.session:
            self._heard(seq, now_us)
            return RESULT_OK
        self.session = session
        self._seq = self._seen_cmd_seq = self.cmd_seq = seq
        self._heard_us = now_us
        self._halt()
        if self.latched:
            self.state = STATE_STOPPED
        else:
            self.state = STATE_OPEN
            self.fault = FAULT_NONE
        return RESULT_OK

    def time_sync(self, session, seq, now_us):
        if not self._belongs(session):
            return RESULT_WRONG_SESSION
        self._heard(seq, now_us)
        return RESULT_OK

    def arm(self, session, seq, now_us):
        result = self._admit(session, seq, now_us)
        if result != RESULT_OK:
            return result
        if self.state == STATE_STOPPED or self._condition != FAULT_NONE:
            return RESULT_FAULT_PRESENT
        if self.state == STATE_OPEN:
            self.state = STATE_ARMED
        return RESULT_OK

    def stop(self, session, seq, now_us):
        # no fresh seq asked for: stopping twice is harmless, not stopping is not
        if not self._belongs(session):
            return RESULT_WRONG_SESSION
        self._heard(seq, now_us)
        self.fail(FAULT_HOST_STOP)
        return RESULT_OK

    def clear(self, session, seq, now_us):
        result = self._admit(session, seq, now_us)
        if result != RESULT_OK:
            return result
        if self.state == STATE_STOPPED:
            if self._condition != FAULT_NONE:
                return RESULT_FAULT_PRESENT
            self.latched = False
            self.fault = FAULT_NONE
            self.state = STATE_OPEN
        return RESULT_OK

    def pose(self, session, seq, now_us):
        result = self._admit(session, seq, now_us)
        if result == RESULT_OK and (self.state == STATE_ARMED or self.state == STATE_DRIVING):
            return RESULT_WRONG_STATE
        return result

    def reboot(self, session, seq, now_us):
        result = self._admit(session, seq, now_us)
        if result == RESULT_OK and self.state == STATE_DRIVING:
            return RESULT_WRONG_STATE
        return result

    def command(self, session, seq, left, right, expires_us, now_us):
        """Apply a CMD if it is fresh and movement is allowed; true if so."""
        if session == 0 or session != self.session:
            self.count_refused()
            return False
        fresh = newer(seq, self._seen_cmd_seq)
        self._heard(seq, now_us)
        if not fresh:
            self.count_refused()
            return False
        self._seen_cmd_seq = seq
        remaining_us = ticks.diff(expires_us, now_us)
        if remaining_us <= 0:
            if self.commands_expired < _COUNTER_MAX:
                self.commands_expired += 1
            return False
        if remaining_us > _EXPIRY_MAX_US or (self.state != STATE_ARMED and self.state != STATE_DRIVING):
            self.count_refused()
            return False
        self.state = STATE_DRIVING
        self.left = left
        self.right = right
        self.cmd_seq = seq
        self._expires_us = expires_us
        return True

    # ---- time and faults --------------------------------------------------------------------------------

    def tick(self, now_us):
        """Let time pass: commands expire, silent hosts lose their session."""
        if self.state == STATE_DRIVING and ticks.diff(self._expires_us, now_us) <= 0:
            self.state = STATE_ARMED
            self._halt()
        if self.session and ticks.diff(now_us, self._heard_us) >= _SILENCE_MAX_US:
            self.session = 0
            self.state = STATE_IDLE
            self._halt()  # the last command has long expired; said again, so that this does not hang on two timers
            if not self.latched:
                self.fault = FAULT_SESSION_LOST

    def fail(self, fault):
        """Stop and latch. The first cause stays on show, save that a fault which cuts the output replaces it."""
        if not self.latched or fault == FAULT_MOTOR_DRIVER or fault == FAULT_LOOP_EXCEPTION:
            self.fault = fault
        self.latched = True
        self._halt()
        if self.session:
            self.state = STATE_STOPPED

    def condition(self, fault):
        """The fault that is there now, or FAULT_NONE. It stops what moves or may move, and bars ARM and CLEAR."""
        self._condition = fault
        if fault == FAULT_MOTOR_DRIVER:
            self.fail(fault)
        elif fault != FAULT_NONE and (self.state == STATE_ARMED or self.state == STATE_DRIVING):
            self.fail(fault)

    def count_refused(self):
        if self.frames_refused < _COUNTER_MAX:
            self.frames_refused += 1

    # ---- parts ------------------------------------------------------------------------------------------

    def _belongs(self, session):
        if session and session == self.session:
            return True
        self.count_refused()
        return False

    def _admit(self, session, seq, now_us):
        if not self._belongs(session):
            return RESULT_WRONG_SESSION
        fresh = newer(seq, self._seq)
        self._heard(seq, now_us)
        if not fresh:
            self.count_refused()
            return NO_ANSWER
        return RESULT_OK

    def _heard(self, seq, now_us):
        self._heard_us = now_us
        if newer(seq, self._seq):
            self._seq = seq
            # drag the command's mark along: left 32768 frames behind (hours of clock exchanges), it would look newer
            if (seq - self._seen_cmd_seq) & _SEQ_MASK > _SEQ_LAG_MAX:
                self._seen_cmd_seq = (seq - _SEQ_LAG_MAX) & _SEQ_MASK

    def _halt(self):
        self.left = 0
        self.right = 0
