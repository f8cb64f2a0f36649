"""The session's rules, without threads or time: messages in, messages out."""

from __future__ import annotations

import random
from typing import TypeVar

import pytest

from jepa_bridge.errors import BridgeError
from jepa_bridge.link.codec import encode
from jepa_bridge.link.schema import (
    PROTOCOL_VERSION,
    SCHEMA_HASH,
    Ack,
    Arm,
    Clear,
    Cmd,
    Fault,
    Hello,
    Level,
    Log,
    LogCode,
    Message,
    Open,
    Pose,
    Reboot,
    ResetCause,
    Result,
    Sensor,
    State,
    Status,
    Stop,
    StopReason,
    TimeSync,
)
from jepa_bridge.link.session import Health, Phase, Request, Session

MS = 1000
DEVICE_AHEAD_US = (1 << 30) - 5_000_000  # device clock minus host clock: wraps 5 s into every test
T = TypeVar("T")


class Talk:
    """A session and the other side of it, written by hand."""

    def __init__(self, seed: int = 1) -> None:
        self.session = Session(random.Random(seed))
        self.now_us = 0
        self.device_seq = 65530  # wraps early
        self.boot_id = 1
        self.delay_us = 2 * MS  # each way

    def head(self, session: int | None = None) -> tuple[int, int, int]:
        self.device_seq = (self.device_seq + 1) % 65536
        number = self.session.session if session is None else session
        return self.device_seq, number, (self.now_us + DEVICE_AHEAD_US) % (1 << 30)

    def say(self, message: Message) -> list[Message]:
        answer = self.session.on_message(message, self.now_us)
        for sent in answer:
            encode(sent)  # whatever it sends must fit on the wire
        return answer

    def hello(
        self, *, version: int = PROTOCOL_VERSION, schema: bytes = SCHEMA_HASH, uid: bytes = b"uid1", wheel_max: int = 80
    ) -> list[Message]:
        return self.say(
            Hello(
                *self.head(0), version, schema, uid, self.boot_id, "1.2", "b", ResetCause.UNKNOWN, 0, 50, 2000,
                wheel_max, 500, 0,
            )
        )  # fmt: skip

    def ack(self, sent: Message, result: Result = Result.OK, session: int | None = None) -> list[Message]:
        """The answer to `sent`, after the way there and back."""
        self.now_us += self.delay_us
        received_us = (self.now_us + DEVICE_AHEAD_US) % (1 << 30)
        message = Ack(*self.head(session), sent.TYPE, sent.seq, result, received_us)
        self.now_us += self.delay_us
        return self.say(message)

    def sensor(self, session: int | None = None) -> list[Message]:
        return self.say(Sensor(*self.head(session), (1,) * 8, (0,) * 8, 0, 0, 0, 0, 0, 0, 0, None, 0))

    def status(self, state: State) -> list[Message]:
        return self.say(Status(*self.head(), state, Fault.NONE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

    def tick(self, later_us: int = 0) -> list[Message]:
        self.now_us += later_us
        sent = self.session.tick(self.now_us)
        for message in sent:
            encode(message)
        return sent

    def open(self) -> None:
        (sent,) = self.hello()
        assert isinstance(sent, Open)
        answer = self.ack(sent)
        exchanges = 0
        while answer:
            (sync,) = answer
            assert isinstance(sync, TimeSync)
            exchanges += 1
            answer = self.ack(sync)
        assert exchanges == 8
        self.status(State.OPEN)
        self.sensor()
        assert self.session.ready(self.now_us)

    def arm(self) -> None:
        self.session.request_arm()
        (sent,) = self.tick()
        self.ack(sent)
        assert self.session.armed

    def command(self) -> Cmd | None:
        return self.session.command(10, -10, now_us=self.now_us)


def only(kind: type[T], messages: list[Message]) -> T:
    (message,) = messages
    assert isinstance(message, kind)
    return message


@pytest.fixture
def talk() -> Talk:
    made = Talk()
    made.open()
    return made


def test_silent_until_hello() -> None:
    talk = Talk()
    for request in (talk.session.request_arm(), talk.session.request_stop(), talk.session.request_reboot()):
        assert request.failure == "no-session"
    assert talk.tick(10_000_000) == []
    assert talk.sensor(session=5) == []
    assert talk.session.refusal == "before-hello"
    assert talk.command() is None
    assert talk.session.health(talk.now_us) is Health.LOST


def test_open_carries_version_and_a_new_session_number() -> None:
    numbers = set()
    for seed in range(20):
        sent = only(Open, Talk(seed).hello())
        assert sent.protocol_version == PROTOCOL_VERSION
        assert 1 <= sent.session < 1 << 30
        numbers.add(sent.session)
    assert len(numbers) == 20


@pytest.mark.parametrize(
    ("version", "schema", "code", "says", "update"),
    [
        (PROTOCOL_VERSION + 1, SCHEMA_HASH, "incompatible-protocol", "version 2", "this program"),
        (PROTOCOL_VERSION + 1, b"\1\2\3\4", "incompatible-protocol", "version 2", "this program"),
        (PROTOCOL_VERSION, b"\1\2\3\4", "incompatible-schema", "01020304", "robot"),
    ],
)
def test_incompatible_robots_get_no_answer(version: int, schema: bytes, code: str, says: str, update: str) -> None:
    talk = Talk()
    assert talk.hello(version=version, schema=schema) == []
    error = talk.session.error
    assert isinstance(error, BridgeError)
    assert error.code == code
    assert says in error.message
    assert update in error.hint
    assert talk.tick(10_000_000) == []
    assert talk.session.phase is Phase.WAITING
    talk.boot_id += 1  # somebody updated the firmware
    only(Open, talk.hello())
    assert talk.session.error is None


def test_open_is_sent_ten_times_then_waits_for_the_next_hello() -> None:
    talk = Talk()
    sent = [only(Open, talk.hello())]
    while talk.session.phase is Phase.OPENING:
        sent += [message for message in talk.tick(10 * MS) if isinstance(message, Open)]
    assert len(sent) == 10
    assert len({message.seq for message in sent}) == 10
    assert len({message.session for message in sent}) == 1
    assert talk.now_us == 10 * 100 * MS
    assert only(Open, talk.hello()).session != sent[0].session


def test_hello_that_crossed_our_open_does_not_start_again() -> None:
    talk = Talk()
    sent = only(Open, talk.hello())
    assert talk.hello() == []
    only(TimeSync, talk.ack(sent))


def test_a_second_ack_of_a_message_sent_twice_changes_nothing(talk: Talk) -> None:
    talk.session.request_arm()
    first = only(Arm, talk.tick())
    second = only(Arm, talk.tick(100 * MS))
    talk.ack(first)
    assert talk.session.armed
    talk.status(State.STOPPED)
    talk.ack(second)
    assert not talk.session.armed


def test_clock_goes_on_at_1_hz_and_asks_again_after_100_ms(talk: Talk) -> None:
    sent = only(TimeSync, talk.tick(1_000_000))
    assert talk.tick(99 * MS) == []
    again = only(TimeSync, talk.tick(1 * MS))
    assert again.seq != sent.seq
    bound_us = talk.session.clock.bound_us(talk.now_us)
    talk.now_us += 50 * MS
    talk.ack(again)  # a slow answer must not spoil the estimate
    assert talk.session.clock.bound_us(talk.now_us) <= bound_us + 100
    assert talk.session.clock.offset_us % (1 << 30) == DEVICE_AHEAD_US
    assert talk.tick(999 * MS) == []
    assert len(talk.tick(1 * MS)) == 1


def test_an_answer_to_an_older_exchange_is_paired_with_its_own_sending(talk: Talk) -> None:
    first = only(TimeSync, talk.tick(1_000_000))
    talk.tick(100 * MS)
    talk.ack(first)  # round trip 104 ms, not 4
    assert talk.session.clock.offset_us % (1 << 30) == DEVICE_AHEAD_US
    assert talk.session.clock.round_trip_us == 4 * MS


def test_a_dead_line_is_not_flooded(talk: Talk) -> None:
    sent = []
    for _ in range(1000):
        sent += talk.tick(10 * MS)
    assert len(sent) <= 60  # 10 s: ten in the first second of each two


def test_expiry_is_in_the_device_clock_and_wraps(talk: Talk) -> None:
    talk.arm()
    for _ in range(200):
        talk.now_us += 50 * MS
        talk.sensor()
        for message in talk.tick():
            talk.ack(message)
        command = talk.command()
        assert command is not None
        ahead_us = (command.expires_us - talk.now_us - DEVICE_AHEAD_US) % (1 << 30)
        assert abs(ahead_us - 150 * MS) <= talk.session.clock.bound_us(talk.now_us)


def test_expiry_is_cut_to_what_the_robot_accepts(talk: Talk) -> None:
    talk.arm()
    command = talk.session.command(1, 1, now_us=talk.now_us, expires_in_us=10_000_000)
    assert command is not None
    ahead_us = (command.expires_us - talk.now_us - DEVICE_AHEAD_US) % (1 << 30)
    assert 400 * MS < ahead_us <= 500 * MS


def test_no_command_unless_open_and_armed(talk: Talk) -> None:
    assert talk.command() is None
    talk.arm()
    assert talk.command() is not None


@pytest.mark.parametrize("state", [State.OPEN, State.STOPPED, State.IDLE, State.BOOT])
def test_no_command_after_the_robot_left_armed(talk: Talk, state: State) -> None:
    talk.arm()
    talk.status(State.DRIVING)
    assert talk.command() is not None
    talk.status(state)
    assert talk.command() is None


def test_no_command_from_the_moment_stop_is_requested(talk: Talk) -> None:
    talk.arm()
    request = talk.session.request_stop(StopReason.PLANNER_LATE)
    assert talk.command() is None
    stop = only(Stop, talk.tick())
    assert stop.reason is StopReason.PLANNER_LATE
    assert talk.command() is None
    talk.status(State.DRIVING)  # was under way
    assert talk.command() is None
    talk.ack(stop)
    assert request.result is Result.OK
    assert talk.command() is None


def test_stop_takes_back_an_arm_and_a_clear_under_way(talk: Talk) -> None:
    clear = talk.session.request_clear()
    arm = talk.session.request_arm()
    sent = {type(message): message for message in talk.tick()}
    assert set(sent) == {Clear, Arm}
    talk.session.request_stop()
    assert arm.failure == clear.failure == "superseded"
    talk.ack(sent[Arm])
    assert not talk.session.armed
    later = talk.tick(100 * MS)
    assert not any(isinstance(message, Arm | Clear) for message in later)


def test_no_command_while_the_clock_is_uncertain() -> None:
    talk = Talk()
    talk.delay_us = 26 * MS  # half of the round trip: one millisecond too much
    answer = talk.hello()
    while answer:
        answer = talk.ack(answer[0])
    talk.status(State.OPEN)
    talk.sensor()
    assert not talk.session.ready(talk.now_us)
    talk.arm()
    talk.sensor()
    assert talk.command() is None
    talk.delay_us = 24 * MS
    talk.ack(only(TimeSync, talk.tick(1_000_000)))
    talk.sensor()
    assert talk.command() is not None


def test_no_command_once_the_clock_has_aged(talk: Talk) -> None:
    talk.arm()
    talk.now_us += 300_000_000  # 5 minutes at 100 ppm: 30 ms
    talk.sensor()
    assert talk.command() is None


def test_no_command_while_sensors_are_lost(talk: Talk) -> None:
    talk.arm()
    talk.sensor()
    for age_ms, health in ((100, Health.OK), (101, Health.DEGRADED), (500, Health.DEGRADED), (501, Health.LOST)):
        assert talk.session.health(talk.now_us + age_ms * MS) is health
    talk.now_us += 500 * MS
    assert talk.command() is not None
    talk.now_us += 1 * MS
    assert talk.command() is None


@pytest.mark.parametrize("wheels", [(81, 0), (0, -81)])
def test_a_command_beyond_the_wire_is_a_bug_of_the_caller(talk: Talk, wheels: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"-80\.\.80"):
        talk.session.command(*wheels, now_us=talk.now_us)


def test_a_robot_with_weaker_wheels_gets_no_more_than_it_announced() -> None:
    talk = Talk()
    talk.boot_id = 2
    sent = talk.hello(wheel_max=30)
    while sent:
        sent = talk.ack(sent[0])
    talk.status(State.OPEN)
    talk.arm()
    command = talk.session.command(80, -80, now_us=talk.now_us)
    assert command is not None
    assert (command.left_wheel, command.right_wheel) == (30, -30)


@pytest.mark.parametrize("reboots", [False, True])
def test_hello_in_a_session_opens_a_new_one_disarmed(talk: Talk, reboots: bool) -> None:
    talk.arm()
    waiting = talk.session.request_pose(1, 2, 3)
    talk.tick()
    old = talk.session.session
    if reboots:
        talk.boot_id += 1
        talk.device_seq = 65535
    sent = only(Open, talk.hello())
    assert sent.session != old
    assert waiting.failure == "session-lost"
    assert not talk.session.armed
    assert talk.session.status is None
    assert talk.session.clock.exchanges == 0
    assert talk.command() is None
    assert talk.sensor(session=old) == []
    assert talk.session.refusal == "session"
    assert talk.session.counters.reboots == reboots
    assert talk.session.counters.sessions_lost == 1


def test_wrong_session_as_an_answer_ends_the_session(talk: Talk) -> None:
    talk.arm()
    sync = only(TimeSync, talk.tick(1_000_000))
    assert talk.ack(sync, Result.WRONG_SESSION, session=0) == []
    assert talk.session.phase is Phase.WAITING
    assert not talk.session.armed
    assert talk.tick(1_000_000) == []


def test_wrong_session_to_nothing_we_sent_ends_nothing(talk: Talk) -> None:
    talk.arm()
    talk.ack(Arm(1, talk.session.session, 0), Result.WRONG_SESSION, session=0)
    assert talk.session.refusal == "session"
    assert talk.session.armed


def test_frames_of_another_session_and_old_ones_are_refused(talk: Talk) -> None:
    talk.sensor(session=talk.session.session ^ 1)
    assert talk.session.refusal == "session"
    talk.sensor()
    assert talk.session.refusal == ""
    talk.device_seq -= 1
    talk.sensor()
    assert talk.session.refusal == "seq"
    talk.say(Arm(1, talk.session.session, 3))
    assert talk.session.refusal == "direction"
    assert talk.session.counters.refused == 3


def test_gaps_are_counted(talk: Talk) -> None:
    assert talk.session.counters.missed == 0
    talk.device_seq += 3
    talk.sensor()
    assert talk.session.counters.missed == 3


def test_log_is_passed_on_in_any_session(talk: Talk) -> None:
    talk.say(Log(*talk.head(0), Level.INFO, LogCode.STARTED, "up"))
    assert talk.session.refusal == ""


def test_refused_requests_carry_the_reason(talk: Talk) -> None:
    request = talk.session.request_pose(1, 2, 3)
    sent = only(Pose, talk.tick())
    talk.ack(sent, Result.WRONG_STATE)
    assert request.result is Result.WRONG_STATE
    assert request.done


def test_a_newer_request_of_a_kind_replaces_the_older(talk: Talk) -> None:
    first = talk.session.request_pose(1, 1, 1)
    second = talk.session.request_pose(2, 2, 2)
    sent = only(Pose, talk.tick())
    assert sent.x_mm == 2
    assert first.failure == "superseded"
    assert not second.done


def test_reboot_disarms(talk: Talk) -> None:
    talk.arm()
    talk.session.request_reboot()
    talk.ack(only(Reboot, talk.tick()))
    assert talk.command() is None


def test_after_a_disconnection_only_the_same_robot_is_taken(talk: Talk) -> None:
    talk.arm()
    request: Request = talk.session.request_pose(1, 1, 1)
    talk.session.disconnect()
    assert request.failure == "session-lost"
    assert talk.tick(1_000_000) == []
    assert talk.command() is None
    assert talk.hello(uid=b"uid2") == []
    assert talk.session.error is not None
    assert talk.session.error.code == "different-robot"
    talk.session.disconnect()
    only(Open, talk.hello(uid=b"uid1"))
    assert talk.session.error is None
    assert not talk.session.armed


def test_a_robot_heard_in_the_session_that_was_cut_off_gets_a_new_one_disarmed(talk: Talk) -> None:
    talk.arm()
    former = talk.session.session
    for _ in range(2):  # it may break again before anything was heard
        talk.session.disconnect()
    assert talk.tick(300_000) == []
    opened = only(Open, talk.sensor(former))
    assert opened.session not in (0, former)
    assert talk.session.refusal == "session", "what it said there is not acted on"
    assert not talk.session.armed
    assert talk.sensor(former) == [], "once"
    answer = talk.ack(opened)
    while answer:
        answer = talk.ack(answer[0])
    talk.status(State.OPEN)
    assert talk.session.ready(talk.now_us)
    assert not talk.session.armed
    assert talk.session.hello is not None
    assert talk.session.hello.boot_id == talk.boot_id


def test_after_a_disconnection_nobody_else_is_written_to_without_a_hello(talk: Talk) -> None:
    former = talk.session.session
    talk.session.disconnect()
    assert talk.sensor(former + 1) == []
    assert talk.session.refusal == "before-hello"
    only(Open, talk.hello())
    talk.session.disconnect()  # in the middle of OPEN: that session was never heard
    assert talk.sensor(former) == []


def test_a_robot_that_rebooted_meanwhile_says_hello_and_is_known_by_its_boot(talk: Talk) -> None:
    talk.session.disconnect()
    talk.boot_id = 9
    only(Open, talk.hello())
    assert talk.session.hello is not None
    assert talk.session.hello.boot_id == 9


def test_sequence_numbers_differ_and_wrap() -> None:
    talk = Talk()
    talk.open()
    talk.arm()
    talk.session._seq = 65533
    seqs = []
    for _ in range(5):
        command = talk.command()
        assert command is not None
        seqs.append(command.seq)
    assert seqs == [65534, 65535, 0, 1, 2]
