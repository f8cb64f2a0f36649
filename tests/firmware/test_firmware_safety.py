"""Every transition of PROTOCOL.md's table, one test each; times in device microseconds."""

import itertools

import pytest

BOOT, IDLE, OPEN, ARMED, DRIVING, STOPPED = range(6)
NONE, HOST_STOP, SESSION_LOST, EXCEPTION, MOTOR, BATTERY, RANGES, RUNAWAY = range(8)
OK, WRONG_STATE, WRONG_SESSION, WRONG_VERSION, FAULT_PRESENT, OUT_OF_RANGE = range(6)
NO_ANSWER = -1
PERIOD = 1 << 30
MS = 1000
HOST = 77


class Device:
    """The state machine with a clock and a host's counter around it."""

    def __init__(self, now=0, seq=0):
        from safety import Safety

        self.safety = Safety()
        self.safety.started()
        self.now = now
        self.seq = seq

    def next(self):
        self.seq = (self.seq + 1) % 65536
        return self.seq

    def wait(self, duration):
        """Ticks of 1 ms, as the loop's."""
        for _ in range(duration // MS):
            self.now = (self.now + MS) % PERIOD
            self.safety.tick(self.now)

    def open(self, session=HOST, version=1):
        return self.safety.open(session, self.next(), version, self.now)

    def cmd(self, left=10, right=-10, expires_in=150 * MS, seq=None, session=HOST):
        seq = self.next() if seq is None else seq
        return self.safety.command(session, seq, left, right, (self.now + expires_in) % PERIOD, self.now)

    def __getattr__(self, name):
        """arm(), stop(), clear(), pose(), reboot(), time_sync() with the next seq."""
        handler = getattr(self.safety, name)
        return lambda session=HOST, seq=None: handler(session, self.next() if seq is None else seq, self.now)

    @property
    def state(self):
        return self.safety.state

    @property
    def wheels(self):
        return self.safety.left, self.safety.right


def device_in(state, **keys):
    device = Device(**keys)
    if state == IDLE:
        return device
    assert device.open() == OK
    if state == STOPPED:
        assert device.stop() == OK
    if state in (ARMED, DRIVING):
        assert device.arm() == OK
    if state == DRIVING:
        assert device.cmd()
    assert device.state == state
    return device


ALL = [IDLE, OPEN, ARMED, DRIVING, STOPPED]
WITH_SESSION = ALL[1:]


def test_boot_ends_in_idle():
    from safety import Safety

    safety = Safety()
    assert safety.state == BOOT
    safety.started()
    assert (safety.state, safety.session, safety.left, safety.right) == (IDLE, 0, 0, 0)


def test_open_opens():
    device = device_in(OPEN)
    assert (device.safety.session, device.safety.fault) == (HOST, NONE)


@pytest.mark.parametrize("state", ALL)
def test_open_with_another_version_changes_nothing(state):
    device = device_in(state)
    before = (device.state, device.safety.session)
    assert device.open(session=5, version=2) == WRONG_VERSION
    assert (device.state, device.safety.session) == before


def test_open_with_session_0_is_out_of_range():
    device = device_in(IDLE)
    assert device.open(session=0) == OUT_OF_RANGE
    assert device.state == IDLE


@pytest.mark.parametrize("state", WITH_SESSION)
def test_opening_the_open_session_again_changes_nothing(state):
    device = device_in(state)
    wheels = device.wheels
    assert device.open() == OK
    assert (device.state, device.wheels) == (state, wheels)


def test_opening_again_keeps_the_session_alive():
    device = device_in(OPEN)
    device.wait(1900 * MS)
    device.open()
    device.wait(1900 * MS)
    assert device.state == OPEN


@pytest.mark.parametrize(("state", "then"), [(OPEN, OPEN), (ARMED, OPEN), (DRIVING, OPEN), (STOPPED, STOPPED)])
def test_another_session_replaces_the_open_one_disarmed(state, then):
    device = device_in(state)
    assert device.open(session=78) == OK
    assert (device.state, device.safety.session, device.wheels) == (then, 78, (0, 0))
    assert device.arm(session=HOST) == WRONG_SESSION
    assert not device.cmd(session=HOST)
    assert device.state == then


def test_a_new_session_starts_a_new_counter():
    device = device_in(DRIVING, seq=1000)
    device.seq = 5
    assert device.open(session=78) == OK
    assert device.arm(session=78) == OK
    assert device.cmd(session=78)


@pytest.mark.parametrize(
    ("state", "result", "then"),
    [
        (OPEN, OK, ARMED),
        (ARMED, OK, ARMED),
        (DRIVING, OK, DRIVING),
        (STOPPED, FAULT_PRESENT, STOPPED),
        (IDLE, WRONG_SESSION, IDLE),
    ],
)
def test_arm(state, result, then):
    device = device_in(state)
    assert device.arm() == result
    assert device.state == then


@pytest.mark.parametrize("state", WITH_SESSION)
def test_stop_latches_in_every_state_with_a_session(state):
    device = device_in(state)
    assert device.stop() == OK
    assert device.stop() == OK
    assert (device.state, device.safety.fault, device.wheels) == (STOPPED, HOST_STOP, (0, 0))
    assert not device.safety.cut(), "a stop ramps down"
    assert not device.cmd()
    assert device.state == STOPPED


def test_stop_needs_no_fresh_seq_but_the_session():
    device = device_in(DRIVING, seq=500)
    assert device.stop(session=78) == WRONG_SESSION
    assert device.state == DRIVING
    assert device.stop(seq=400) == OK
    assert device.state == STOPPED


def test_stop_without_a_session_is_of_the_wrong_session():
    device = device_in(IDLE)
    assert device.stop() == WRONG_SESSION
    assert device.stop(session=0) == WRONG_SESSION
    assert (device.state, device.safety.latched) == (IDLE, False)


@pytest.mark.parametrize(
    ("state", "result", "then"),
    [(STOPPED, OK, OPEN), (OPEN, OK, OPEN), (ARMED, OK, ARMED), (DRIVING, OK, DRIVING), (IDLE, WRONG_SESSION, IDLE)],
)
def test_clear(state, result, then):
    device = device_in(state)
    assert device.clear() == result
    assert device.state == then
    assert device.safety.fault == NONE


def test_after_clear_only_arm_leads_back_to_movement():
    device = device_in(STOPPED)
    device.clear()
    assert not device.cmd()
    assert device.arm() == OK
    assert device.cmd()


@pytest.mark.parametrize(
    ("state", "result"),
    [(OPEN, OK), (STOPPED, OK), (ARMED, WRONG_STATE), (DRIVING, WRONG_STATE), (IDLE, WRONG_SESSION)],
)
def test_pose(state, result):
    device = device_in(state)
    assert device.pose() == result
    assert device.state == state


@pytest.mark.parametrize(
    ("state", "result"), [(OPEN, OK), (STOPPED, OK), (ARMED, OK), (DRIVING, WRONG_STATE), (IDLE, WRONG_SESSION)]
)
def test_reboot(state, result):
    device = device_in(state)
    assert device.reboot() == result


@pytest.mark.parametrize("message", ["arm", "clear", "pose", "reboot"])
def test_control_messages_need_a_fresh_seq(message):
    device = device_in(STOPPED, seq=100)
    refused = device.safety.frames_refused
    assert getattr(device, message)(seq=device.seq) == NO_ANSWER
    assert getattr(device, message)(seq=50) == NO_ANSWER
    assert device.safety.frames_refused == refused + 2
    assert device.state == STOPPED


@pytest.mark.parametrize("message", ["arm", "clear", "pose", "reboot", "time_sync", "stop"])
def test_messages_of_another_session_are_refused_and_counted(message):
    device = device_in(OPEN)
    refused = device.safety.frames_refused
    assert getattr(device, message)(session=78) == WRONG_SESSION
    assert getattr(device, message)(session=0) == WRONG_SESSION
    assert device.safety.frames_refused == refused + 2
    assert device.state == OPEN


def test_time_sync_needs_no_fresh_seq_and_does_not_turn_the_counter_back():
    device = device_in(OPEN, seq=100)
    assert device.time_sync(seq=50) == OK
    assert device.arm(seq=60) == NO_ANSWER
    assert device.state == OPEN


def test_session_1_is_a_session_like_any():
    device = Device()
    assert device.open(session=1) == OK
    assert device.arm(session=1) == OK
    assert device.cmd(session=1)


def test_the_announced_cap_is_the_tested_one():
    import safety

    assert safety.EXPIRY_MAX_MS == 500


# ---- commands -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [ARMED, DRIVING])
def test_a_fresh_command_drives(state):
    device = device_in(state)
    assert device.cmd(80, -80)
    assert (device.state, device.wheels, device.safety.cmd_seq) == (DRIVING, (80, -80), device.seq)


@pytest.mark.parametrize("state", [IDLE, OPEN, STOPPED])
def test_a_command_moves_nothing_in_other_states(state):
    device = device_in(state)
    refused = device.safety.frames_refused
    assert not device.cmd()
    assert (device.state, device.wheels, device.safety.frames_refused) == (state, (0, 0), refused + 1)


@pytest.mark.parametrize("session", [0, 78])
def test_a_command_of_another_session_is_refused(session):
    device = device_in(DRIVING)
    assert not device.cmd(1, 1, session=session)
    assert device.wheels == (10, -10)
    assert device.safety.frames_refused == 1
    assert device.cmd(seq=device.seq), "and leaves the counter alone"


def test_no_session_is_not_a_session_called_0():
    device = device_in(IDLE)
    assert not device.cmd(session=0)
    assert device.arm(session=0) == WRONG_SESSION


@pytest.mark.parametrize(
    ("expires_in", "applied", "counter"),
    [
        (1, True, None),
        (500 * MS, True, None),
        (500 * MS + 1, False, "frames_refused"),
        (0, False, "commands_expired"),
        (-1, False, "commands_expired"),
        (-PERIOD // 2, False, "commands_expired"),
        (PERIOD // 2 - 1, False, "frames_refused"),
    ],
)
@pytest.mark.parametrize("now", [0, 12345, PERIOD - 1, PERIOD - 250 * MS])
def test_expiry_bounds_whatever_the_clock_reads(now, expires_in, applied, counter):
    device = device_in(ARMED, now=now)
    before = {name: getattr(device.safety, name) for name in ("frames_refused", "commands_expired")}
    assert device.cmd(expires_in=expires_in) is applied
    assert device.state == (DRIVING if applied else ARMED)
    for name, count in before.items():
        assert getattr(device.safety, name) == count + (name == counter)


@pytest.mark.parametrize("now", [0, PERIOD - 100 * MS])
def test_an_expired_command_halts_and_stays_armed(now):
    device = device_in(ARMED, now=now)
    device.cmd(80, 80, expires_in=150 * MS)
    device.wait(149 * MS)
    assert (device.state, device.wheels) == (DRIVING, (80, 80))
    device.wait(1 * MS)
    assert (device.state, device.wheels) == (ARMED, (0, 0))
    assert device.safety.commands_expired == 0, "it was applied; nothing was refused"
    assert device.cmd()


def test_a_command_expires_to_the_microsecond():
    device = device_in(ARMED)
    device.cmd(expires_in=1000)
    device.safety.tick(999)
    assert device.state == DRIVING
    device.safety.tick(1000)
    assert device.state == ARMED


def test_the_newest_command_decides_the_expiry():
    device = device_in(ARMED)
    device.cmd(expires_in=400 * MS)
    device.cmd(expires_in=50 * MS)
    device.wait(50 * MS)
    assert device.state == ARMED


@pytest.mark.parametrize(
    ("behind", "applied"), [(0, False), (1, False), (32767, False), (32768, False), (-1, True), (-32767, True)]
)
@pytest.mark.parametrize("seq", [100, 65535, 65530])
def test_command_seq_is_compared_modulo_65536(seq, behind, applied):
    device = device_in(DRIVING, seq=seq - 3)
    assert device.safety.cmd_seq == seq
    assert device.cmd(55, 55, seq=(seq - behind) % 65536) is applied
    assert device.wheels == ((55, 55) if applied else (10, -10))


def test_a_refused_command_uses_up_its_seq():
    device = device_in(ARMED)
    seq = device.next()
    assert not device.cmd(seq=seq, expires_in=-1)
    refused = device.safety.frames_refused
    assert not device.cmd(seq=seq)
    assert device.safety.frames_refused == refused + 1
    assert device.safety.cmd_seq != seq
    assert device.cmd()


def test_commands_queued_behind_a_stall_are_refused_one_by_one():
    device = device_in(ARMED)
    sent_at = device.now
    device.wait(1000 * MS)
    for i in range(20):
        assert not device.cmd(expires_in=sent_at + i * 50 * MS + 1 - device.now)
    assert device.safety.commands_expired == 20
    assert device.state == ARMED


def test_days_of_clock_exchanges_do_not_age_the_command_counter():
    device = device_in(ARMED)
    for _ in range(100_000):
        device.time_sync()
    assert device.cmd()


def test_a_command_from_before_a_reopened_session_is_stale():
    device = device_in(OPEN, seq=200)
    device.arm()
    assert not device.cmd(seq=150)


# ---- silence --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [0, PERIOD - 1000 * MS])
@pytest.mark.parametrize("state", WITH_SESSION)
def test_a_silent_host_loses_its_session(state, now):
    device = device_in(state, now=now)
    device.wait(1999 * MS)
    assert device.safety.session == HOST
    device.wait(1 * MS)
    assert (device.state, device.safety.session, device.wheels) == (IDLE, 0, (0, 0))
    assert device.safety.fault == (HOST_STOP if state == STOPPED else SESSION_LOST)
    assert device.arm() == WRONG_SESSION


@pytest.mark.parametrize("message", ["arm", "stop", "clear", "pose", "reboot", "time_sync", "cmd", "open"])
def test_every_message_of_the_session_keeps_it_alive(message):
    device = device_in(OPEN)
    device.wait(1500 * MS)
    getattr(device, message)()
    device.wait(1500 * MS)
    assert device.safety.session == HOST


@pytest.mark.parametrize("message", ["arm", "stop", "clear", "pose", "reboot", "time_sync", "cmd"])
def test_messages_of_other_sessions_do_not(message):
    device = device_in(OPEN)
    device.wait(1500 * MS)
    getattr(device, message)(session=78)
    device.wait(500 * MS)
    assert device.state == IDLE


def test_a_lost_session_shows_its_fault_until_the_next_open():
    device = device_in(OPEN)
    device.wait(2000 * MS)
    assert device.safety.fault == SESSION_LOST
    assert device.open() == OK
    assert (device.state, device.safety.fault) == (OPEN, NONE)


def test_the_latch_outlives_the_session():
    device = device_in(STOPPED)
    device.wait(2000 * MS)
    assert device.state == IDLE
    assert device.open(session=78) == OK
    assert (device.state, device.safety.fault) == (STOPPED, HOST_STOP)
    assert device.arm(session=78) == FAULT_PRESENT
    assert device.clear(session=78) == OK
    assert device.state == OPEN


def test_silence_is_counted_to_the_microsecond():
    device = device_in(OPEN)
    device.safety.tick(device.now + 1_999_999)
    assert device.state == OPEN
    device.safety.tick(device.now + 2_000_000)
    assert device.state == IDLE


def test_a_robot_that_never_had_a_session_lost_none():
    device = device_in(IDLE)
    device.wait(3000 * MS)
    assert device.safety.fault == NONE


@pytest.mark.parametrize("seq", [100, 65530])
def test_a_command_may_be_0x4000_frames_late_and_no_more(seq):
    """The mark that commands are compared with follows the session's newest frame at that distance."""
    for ahead, behind_mark in ((0x4000, 1), (0x4001, 2), (0x4010, 17)):
        device = device_in(ARMED, seq=seq)
        mark = device.safety._seen_cmd_seq
        device.time_sync(seq=(mark + ahead) % 65536)
        assert not device.cmd(seq=(mark + behind_mark - 1) % 65536)
        assert device.cmd(seq=(mark + behind_mark) % 65536)


# ---- faults ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "cuts"), [(EXCEPTION, True), (MOTOR, True), (BATTERY, False), (RUNAWAY, False)])
@pytest.mark.parametrize("state", WITH_SESSION)
def test_a_fault_stops_and_latches(state, fault, cuts):
    device = device_in(state)
    device.safety.fail(fault)
    assert (device.state, device.wheels) == (STOPPED, (0, 0))
    assert device.safety.cut() is cuts
    assert device.safety.fault == (fault if cuts or state != STOPPED else HOST_STOP), "the first cause stays on show"
    assert device.clear() == OK
    assert not device.safety.cut()


def test_a_fault_without_a_session_latches_for_the_next():
    device = device_in(IDLE)
    device.safety.fail(EXCEPTION)
    assert (device.state, device.safety.cut()) == (IDLE, True)
    assert device.open() == OK
    assert (device.state, device.safety.fault) == (STOPPED, EXCEPTION)


@pytest.mark.parametrize("condition", [BATTERY, RANGES, RUNAWAY])
@pytest.mark.parametrize(("state", "then"), [(IDLE, IDLE), (OPEN, OPEN), (ARMED, STOPPED), (DRIVING, STOPPED)])
def test_a_condition_stops_what_may_move(state, then, condition):
    device = device_in(state)
    device.safety.condition(condition)
    assert device.state == then
    assert device.safety.latched is (then == STOPPED)
    assert not device.safety.cut()


@pytest.mark.parametrize("state", ALL)
def test_a_motor_driver_fault_cuts_in_every_state(state):
    device = device_in(state)
    device.safety.condition(MOTOR)
    assert device.safety.cut()
    assert (device.safety.fault, device.state) == (MOTOR, IDLE if state == IDLE else STOPPED)


def test_clear_and_arm_wait_until_the_condition_is_gone():
    device = device_in(DRIVING)
    device.safety.condition(BATTERY)
    assert device.clear() == FAULT_PRESENT
    assert device.state == STOPPED
    device.safety.condition(NONE)
    assert device.state == STOPPED, "the latch does not open by itself"
    assert device.clear() == OK
    device.safety.condition(BATTERY)
    assert device.arm() == FAULT_PRESENT
    assert device.state == OPEN


def test_counters_stay_at_their_maximum():
    device = device_in(ARMED)
    device.safety.frames_refused = device.safety.commands_expired = PERIOD - 2
    for _ in range(3):
        device.cmd(session=3)
        device.cmd(expires_in=-1)
    assert (device.safety.frames_refused, device.safety.commands_expired) == (PERIOD - 1, PERIOD - 1)


# ---- everything that a few steps can do -----------------------------------------------------------------


def test_invariants_hold_for_every_sequence_of_steps():
    """All sequences of up to six steps: wheels are driven only in DRIVING, the latch opens by CLEAR alone."""
    steps = {
        "open": lambda d: d.open(),
        "open other": lambda d: d.open(session=78),
        "arm": lambda d: d.arm(),
        "cmd": lambda d: d.cmd(),
        "stop": lambda d: d.stop(),
        "clear": lambda d: d.clear(),
        "fault": lambda d: d.safety.fail(BATTERY),
        "expire": lambda d: d.wait(150 * MS),
    }
    reached = set()
    for sequence in itertools.product(steps, repeat=5):
        device = Device()
        for step in sequence:
            before, latched = device.state, device.safety.latched
            steps[step](device)
            after = device.state
            reached.add((before, step, after))
            assert (device.wheels != (0, 0)) <= (after == DRIVING), sequence
            assert (after == IDLE) == (device.safety.session == 0), sequence
            assert (after == STOPPED) == (device.safety.latched and after != IDLE), sequence
            if after == DRIVING and before != DRIVING:
                assert (before, step) == (ARMED, "cmd"), sequence
            if after == ARMED and before not in (ARMED, DRIVING):
                assert (before, step) == (OPEN, "arm"), sequence
            if latched and not device.safety.latched:
                assert step == "clear", sequence
    assert (DRIVING, "expire", ARMED) in reached
    assert (IDLE, "open", STOPPED) in reached
