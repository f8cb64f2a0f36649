"""session.py between a board, the real safety state machine and the real frames, in this process."""

import pytest
from running_firmware import (
    ACK,
    ARM,
    CLEAR,
    CMD,
    HELLO,
    LOG,
    OPEN,
    POSE,
    REBOOT,
    STATUS,
    STOP,
    TIME_SYNC,
    host_frame,
)

PERIOD = 1 << 30
BIG = PERIOD - 1
MS = 1000
HOST = 77
DEBUG, INFO, WARNING, ERROR = range(4)
STARTED, TEXT, OPENED, LOST, STOPPED, REFUSED, EXCEPTION, INVALID = range(8)


class Board:
    def __init__(self, now_us):
        self.now_us = now_us
        self.waiting = b""
        self.watchdogs = 0

    def ticks_us(self):
        return self.now_us

    def read_into(self, buffer):
        data, self.waiting = self.waiting[: len(buffer)], self.waiting[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def watchdog_start(self):
        self.watchdogs += 1


class Odometry:
    pose = None

    def set_pose(self, *pose):
        self.pose = pose


class Outbox:
    """Notes what is said, as long as the line takes it."""

    def __init__(self):
        self.said = []
        self.full = False

    def _say(self, *message):
        if not self.full:
            self.said.append(message)
        return not self.full

    def ack(self, *fields):
        return self._say(ACK, *fields)

    def hello(self, *fields):
        return self._say(HELLO, *fields)

    def status(self, *fields):
        return self._say(STATUS, *fields)

    def log(self, *fields):
        return self._say(LOG, *fields)


class Conversation:
    def __init__(self, now_us=PERIOD - 300 * MS):
        from frame import Receiver
        from safety import Safety
        from session import Session

        self.board, self.odometry, self.outbox, self.receiver = Board(now_us), Odometry(), Outbox(), Receiver()
        self.safety = Safety()
        self.safety.started()
        self.session = Session(self.board, self.safety, self.odometry, self.receiver, self.outbox)
        self.seq = 0

    def said(self, type_=None):
        """What was said since this was last asked."""
        said, self.outbox.said = self.outbox.said, []
        return [message for message in said if type_ in (None, message[0])]

    def pass_(self, duration_ms=0, before_us=0):
        """One pass of the loop, as far as it is the session's, after so long."""
        self.board.now_us = (self.board.now_us + duration_ms * MS - before_us) % PERIOD
        self.session.receive()
        self.safety.tick(self.board.now_us)
        self.session.report(self.board.now_us, 111, 22, 33, 44, 55)

    def hear(self, type_, *fields, session=HOST, seq=None):
        """One message from the host; what is said to it."""
        self.seq = self.seq + 1 if seq is None else seq
        self.board.waiting += host_frame(type_, self.seq, session, 5, *fields)
        self.session.receive()
        return self.said()

    def ready(self):
        """Started, opened, and everything that goes with it said."""
        self.pass_()
        self.hear(OPEN, 1)
        for _ in range(4):
            self.pass_(501)
            self.hear(TIME_SYNC)
        self.pass_()
        self.said()
        return self


@pytest.fixture
def talk():
    return Conversation()


# ---- messages -------------------------------------------------------------------------------------------


def test_each_message_reaches_its_handler_and_is_answered(talk):
    now = talk.board.now_us
    assert talk.hear(OPEN, 2) == [(ACK, OPEN, 1, 3, now)]
    assert talk.board.watchdogs == 0, "nothing was opened"
    assert talk.hear(OPEN, 1) == [(ACK, OPEN, 2, 0, now)]
    assert talk.hear(TIME_SYNC) == [(ACK, TIME_SYNC, 3, 0, now)]
    assert talk.hear(POSE, 4000, -5000, 3142) == [(ACK, POSE, 4, 0, now)]
    assert talk.odometry.pose == (4000, -5000, 3142)
    assert talk.hear(ARM) == [(ACK, ARM, 5, 0, now)]
    assert talk.hear(POSE, 1, 2, 3) == [(ACK, POSE, 6, 1, now)]
    assert talk.odometry.pose == (4000, -5000, 3142)
    assert talk.hear(CMD, 10, -20, (now + 100) % PERIOD) == []
    assert (talk.safety.left, talk.safety.right, talk.safety.cmd_seq) == (10, -20, 7)
    assert talk.hear(REBOOT) == [(ACK, REBOOT, 8, 1, now)]
    assert talk.hear(STOP, 0) == [(ACK, STOP, 9, 0, now)]
    assert talk.hear(ARM) == [(ACK, ARM, 10, 4, now)]
    assert talk.hear(CLEAR) == [(ACK, CLEAR, 11, 0, now)]
    assert talk.hear(CLEAR, seq=11) == [], "a stale one gets no answer"
    assert not talk.session.reboot_requested
    assert (talk.session.frames_ok, talk.safety.frames_refused, talk.receiver.frames_bad) == (12, 1, 0)


def test_the_command_expires_where_it_says(talk):
    talk.hear(OPEN, 1)
    talk.hear(ARM)
    talk.hear(CMD, 1, 1, (talk.board.now_us + 100 * MS) % PERIOD)
    talk.pass_(99)
    assert talk.safety.left == 1
    talk.pass_(1)
    assert talk.safety.left == 0


def test_the_watchdog_starts_once_with_the_first_session(talk):
    for session in (5, 5, 6):
        talk.hear(OPEN, 1, session=session)
        assert talk.board.watchdogs == 1


def test_frames_are_counted_by_what_was_wrong_with_them(talk):
    talk.hear(OPEN, 1)
    talk.board.waiting = b"\0garbage\0" + host_frame(99, 1, 2, 3) + host_frame(ARM, 2, HOST) + b"\0"
    talk.board.waiting += host_frame(ARM, 2, HOST, 5)[:-3] + b"\0"
    talk.session.receive()
    assert (talk.session.frames_ok, talk.safety.frames_refused, talk.receiver.frames_bad) == (1, 2, 2)
    # a good frame whose CBOR is bad form
    from running_firmware import frame

    talk.board.waiting = frame(b"\x84\x12\x18\x05\x01\x01")
    talk.session.receive()
    assert (talk.session.frames_ok, talk.safety.frames_refused, talk.receiver.frames_bad) == (1, 2, 3)
    assert talk.said(ACK) == []


def test_all_frames_of_a_chunk_are_served(talk):
    messages = [(OPEN, 1, HOST, 5, 1), (ARM, 2, HOST, 5), (TIME_SYNC, 3, HOST, 5)]
    talk.board.waiting = b"".join(host_frame(*message) for message in messages)
    talk.session.receive()
    assert [message[1] for message in talk.said(ACK)] == [OPEN, ARM, TIME_SYNC]
    talk.session.receive()
    assert talk.said() == []


def test_messages_are_stamped_when_they_were_read(talk):
    class Later(Board):
        def read_into(self, buffer):
            n = super().read_into(buffer)
            self.now_us += 7
            return n

    talk.board = talk.session._board = Later(1000)
    assert talk.hear(OPEN, 1) == [(ACK, OPEN, 1, 0, 1007)]


def test_the_counter_of_good_frames_stays_at_its_maximum(talk):
    talk.session.frames_ok = BIG - 1
    talk.hear(OPEN, 1)
    talk.hear(ARM)
    talk.hear(ARM)
    assert talk.session.frames_ok == BIG


def test_a_reboot_waits_for_its_answer_to_leave(talk):
    talk.hear(OPEN, 1)
    due = talk.session.reboot_due
    assert not due(talk.board.now_us)
    assert not due(0), "nobody asked"
    assert not due(PERIOD // 4)
    now = talk.board.now_us
    talk.hear(REBOOT)
    assert not due(now)
    assert not due((now + 49_999) % PERIOD)
    assert due((now + 50_000) % PERIOD)
    talk.board.now_us = (now + 40_000) % PERIOD
    talk.hear(REBOOT)
    assert due((now + 50_000) % PERIOD), "asking again puts nothing off"


# ---- reports --------------------------------------------------------------------------------------------


def test_hello_comes_at_once_and_then_at_2_hz_until_a_session_opens(talk):
    talk.pass_()
    assert talk.said() == [(HELLO, 111), (LOG, INFO, STARTED, b"started")]
    for _ in range(3):
        talk.pass_(500, before_us=1)
        assert talk.said() == []
        talk.pass_(0, before_us=-1)
        assert talk.said() == [(HELLO, 111)]
    talk.pass_(300)
    talk.hear(OPEN, 1)
    for _ in range(20):
        talk.pass_(100)
        assert talk.said(HELLO) == []
        talk.hear(TIME_SYNC)


def test_status_comes_at_once_and_then_at_5_hz_while_a_session_is_open(talk):
    talk.pass_()
    talk.said()
    talk.pass_(300)
    assert talk.said(STATUS) == [], "none without a session"
    talk.hear(OPEN, 1)
    talk.pass_()
    assert talk.said(STATUS) == [(STATUS, 22, 33, 1, 44, 55)]
    for _ in range(3):
        talk.pass_(200, before_us=1)
        assert talk.said(STATUS) == []
        talk.pass_(0, before_us=-1)
        assert len(talk.said(STATUS)) == 1


def test_a_change_is_said_at_once_and_once(talk):
    talk.ready()
    for change in (lambda: talk.hear(ARM), lambda: talk.safety.fail(5), lambda: talk.safety.fail(4)):
        change()
        talk.said()
        talk.pass_(1)
        assert len(talk.said(STATUS)) == 1
        talk.pass_(1)
        assert talk.said(STATUS) == []
    talk.hear(OPEN, 1, session=78)
    talk.pass_(1)
    assert len(talk.said(STATUS)) == 1, "same state, same fault, another session"
    talk.pass_(1)
    assert talk.said(STATUS) == []


def test_a_full_line_puts_a_change_off(talk):
    talk.ready()
    talk.outbox.full = True
    talk.hear(ARM)
    for _ in range(3):
        talk.pass_(1)
    talk.outbox.full = False
    talk.pass_(1)
    assert len(talk.said(STATUS)) == 1
    talk.pass_(1)
    assert talk.said() == []


def test_hello_follows_a_lost_session_at_once_whenever_the_last_one_was(talk):
    """Its timer stood while the session lasted; here for so long that it would seem to lie ahead again."""
    talk.ready()
    for _ in range(600):
        talk.board.now_us = (talk.board.now_us + 1_000_000) % PERIOD
        talk.safety.time_sync(HOST, 0, talk.board.now_us)
        talk.pass_()
    talk.said()
    talk.pass_(2000)
    assert len(talk.said(HELLO)) == 1


def test_a_lost_session_is_said_and_hello_follows_at_once(talk):
    talk.ready()
    talk.pass_(1990)
    talk.said()
    talk.pass_(10)
    log = (LOG, WARNING, LOST, b"no frame from the host: session lost")
    assert talk.said() == [(STATUS, 22, 33, 5, 44, 55), (HELLO, 111), log]
    talk.pass_(499)
    assert talk.said(HELLO) == []
    talk.pass_(1)
    assert len(talk.said(HELLO)) == 1


# ---- logs -----------------------------------------------------------------------------------------------


def logs(talk, passes=6):
    found = []
    for _ in range(passes):
        talk.pass_(100)
        if talk.safety.session:
            talk.safety.time_sync(talk.safety.session, 0, talk.board.now_us)
        found += talk.said(LOG)
    return [message[1:] for message in found]


def test_an_opened_session_is_logged(talk):
    talk.pass_()
    talk.said()
    talk.hear(OPEN, 1)
    assert logs(talk) == [(INFO, OPENED, b"session opened")]
    talk.hear(OPEN, 1)
    assert logs(talk) == []
    talk.hear(OPEN, 1, session=78)
    assert logs(talk) == [(INFO, OPENED, b"session opened")]


def test_logs_are_at_most_two_a_second_and_none_is_repeated(talk):
    talk.pass_()
    assert len(talk.said(LOG)) == 1
    talk.session.log(INFO, TEXT, b"a")
    talk.pass_(500, before_us=1)
    assert talk.said(LOG) == []
    talk.pass_(0, before_us=-1)
    assert talk.said(LOG) == [(LOG, INFO, TEXT, b"a")]
    for _ in range(10):
        talk.pass_(500)
    assert talk.said(LOG) == []


def test_the_most_serious_log_is_kept_and_the_newest_of_equals(talk):
    talk.ready()
    talk.session.log(WARNING, TEXT, b"old")
    talk.session.log(WARNING, TEXT, b"new")
    talk.session.log(INFO, STARTED, b"less")
    assert logs(talk) == [(WARNING, TEXT, b"new")]
    talk.session.log(INFO, STARTED, b"less")
    assert logs(talk) == [(INFO, STARTED, b"less")]


def test_a_full_line_keeps_a_log(talk):
    talk.ready()
    talk.session.log(WARNING, TEXT, b"kept")
    talk.outbox.full = True
    assert logs(talk) == []
    talk.outbox.full = False
    assert logs(talk) == [(WARNING, TEXT, b"kept")]


def test_an_exception_is_an_error(talk):
    talk.ready()
    talk.session.log_exception(b"ValueError")
    assert logs(talk) == [(ERROR, EXCEPTION, b"ValueError")]


@pytest.mark.parametrize("fault", [1, 3, 4, 5, 6, 7])
def test_what_stopped_it_is_logged_once(talk, fault):
    import session

    text = session._FAULT_TEXTS[fault]
    assert len(set(session._FAULT_TEXTS)) == len(session._FAULT_TEXTS)
    talk.ready()
    talk.safety.fail(fault)
    assert logs(talk) == [(WARNING, STOPPED, text)]
    assert logs(talk) == []
    talk.hear(CLEAR)
    assert logs(talk) == [], "a fault that is gone is no stop"


def test_a_session_that_opens_after_a_lost_one_logs_no_fault(talk):
    talk.ready()
    talk.pass_(2000)
    talk.pass_(600)
    talk.said()
    talk.hear(OPEN, 1, session=78)
    assert logs(talk) == [(INFO, OPENED, b"session opened")]


def test_a_good_frame_with_a_wrong_type_is_logged(talk):
    talk.ready()
    talk.board.waiting = host_frame(99, 1, 2, 3)
    talk.session.receive()
    (log,) = logs(talk)
    assert log[:2] == (WARNING, INVALID)


def test_a_stop_is_told_once_whatever_else_changes(talk):
    talk.ready()
    talk.safety.fail(5)
    assert len(logs(talk)) == 1
    talk.hear(OPEN, 1, session=78)
    assert logs(talk) == [(INFO, OPENED, b"session opened")], "the same fault, latched across sessions"


def test_expired_commands_are_logged(talk):
    talk.ready()
    talk.hear(ARM)
    logs(talk)
    talk.hear(CMD, 1, 1, talk.board.now_us)
    talk.hear(CMD, 1, 1, talk.board.now_us)
    assert logs(talk) == [(WARNING, REFUSED, b"command came after its expiry")]
    assert logs(talk) == []
