"""Every reachable state of the firmware's safety code, breadth first, against the model in safety_model.py.

Inputs come as decoded messages into session.py, which hands them to safety.py. Times move in steps of 100 ms and
sequence numbers in steps of 0x1000: both divide every bound of the code (500 ms, 2 s, 0x4000), so the reachable states
are finite and each is visited exactly, none merged with another. The coarse steps do so as well, in a fifth of the
states; mutants are tried on them. The bounds to the microsecond and to the single frame are test_firmware_safety.py's.
"""

import itertools
from collections import Counter, deque

import pytest
from running_firmware import ARM, CLEAR, CMD, DRIVING, OPEN, POSE, REBOOT, STOP, TIME_SYNC
from safety_model import BATTERY, EXCEPTION, MOTOR, NONE, SILENT, Model

PERIOD = 1 << 30
FINE, COARSE = (100_000, 0x1000), (250_000, 0x2000)  # us, sequence numbers
SESSIONS = (77, 78)
WHEELS = (10, -80)
STATE_FIELDS = ("state", "fault", "latched", "session", "left", "right", "_condition")


class Outbox:
    """Keeps the result of the last ACK."""

    result = SILENT

    def ack(self, _of_type, _of_seq, result, _received_us):
        self.result = result
        return True


class Parts:
    """Board and odometry, as far as messages reach them."""

    def ticks_us(self):
        return 0

    def watchdog_start(self):
        pass

    def set_pose(self, *_):
        pass


class Pair:
    """The firmware's state machine and the model, given the same inputs."""

    def __init__(self, start_us, start_seq, step_us):
        from safety import Safety
        from session import Session

        self.safety = Safety()
        self.safety.started()
        self.outbox = Outbox()
        self.session = Session(Parts(), self.safety, Parts(), None, self.outbox)
        self.model = Model()
        self.now_us = start_us
        self.start_seq = start_seq
        self.step_us = step_us

    def saved(self):
        return self.now_us, dict(self.safety.__dict__), self.model.saved()

    def restore(self, saved):
        self.now_us = saved[0]
        self.safety.__dict__.update(saved[1])
        self.model.restore(saved[2])

    def key(self):
        """What decides the future, without absolute times and numbers."""
        safety, model = self.safety, self.model
        return (
            *(safety.__dict__[name] for name in STATE_FIELDS[:3]),
            safety.session and 1,
            *(safety.__dict__[name] for name in STATE_FIELDS[4:]),
            (safety._seq - safety._seen_cmd_seq) & 0xFFFF if safety.session else 0,
            (safety._expires_us - self.now_us) % PERIOD if safety.state == DRIVING else 0,
            (self.now_us - safety._heard_us) % PERIOD if safety.session else 0,
            model.state,
            model.armed,
            model.latch,
            model.silence_us if model.session else 0,
            model.command,
            min(model.newest - model.commanded, 0x4000) if model.session else 0,
        )

    def give(self, event):
        """One input to both; (firmware's answer, model's answer)."""
        what, *rest = event
        if what == "wait":
            self.now_us = (self.now_us + self.step_us) % PERIOD
            self.safety.tick(self.now_us)
            self.model.wait(self.step_us)
        elif what == "fail":
            self.safety.fail(*rest)
            self.model.fail(*rest)
        elif what == "see":
            self.safety.condition(*rest)
            self.model.see(*rest)
        else:
            return self._message(what, *rest)
        return SILENT, SILENT

    def _message(self, type_, who, ahead, *fields):
        current = self.model.session or SESSIONS[0]
        session = {"ours": current, "other": sum(SESSIONS) - current, "none": 0}[who]
        position = self.model.newest + ahead
        items = self.session._items
        items[0], items[1], items[2], items[3] = type_, (self.start_seq + position) & 0xFFFF, session, 0
        if type_ == CMD:
            items[4], items[5], items[6] = *WHEELS, (self.now_us + fields[0]) % PERIOD
            fields = (WHEELS, *fields)
        elif type_ == OPEN:
            items[4] = fields[0]
        self.outbox.result = SILENT
        self.session._handle(type_, self.now_us)
        return self.outbox.result, self.model.message(type_, session, position, *fields)

    def difference(self):
        """Name and both values of the first thing that the two see differently; None if there is none."""
        safety, model = self.safety, self.model
        for name, ours, theirs in (
            ("state", safety.state, model.state),
            ("fault", safety.fault, model.fault),
            ("latched", safety.latched, bool(model.latch)),
            ("session", safety.session, model.session),
            ("wheels", (safety.left, safety.right), model.wheels),
            ("cmd_seq", safety.cmd_seq, (self.start_seq + model.applied) & 0xFFFF if model.applied else safety.cmd_seq),
            ("cut", safety.cut(), model.latch in (EXCEPTION, MOTOR)),
            ("refused", safety.frames_refused, model.refused),
            ("expired", safety.commands_expired, model.expired),
        ):
            if ours != theirs:
                return name, ours, theirs
        return None


def alphabet(step_us, seq_step):
    who, ahead = ("ours", "other", "none"), (seq_step, 0, -seq_step)
    yield ("wait",)
    yield from (("see", condition) for condition in (NONE, BATTERY, MOTOR))
    yield ("fail", EXCEPTION)
    yield from ((OPEN, *rest) for rest in itertools.product(who, ahead, (1, 2)))
    for type_ in (TIME_SYNC, ARM, STOP, CLEAR, POSE, REBOOT):
        yield from ((type_, *rest) for rest in itertools.product(who, ahead))
    expiries_us = (-step_us, 0, step_us, 500_000 - step_us, 500_000, 500_001, 600_000)
    yield from ((CMD, *rest) for rest in itertools.product(who, (*ahead, -2 * seq_step, -0x4000), expiries_us))


def explore(pair, events, look=lambda before, event, pair: None):
    """Breadth first through everything that can be reached; (states, transitions). Stops at a difference."""
    start = pair.saved()
    seen = {pair.key()}
    waiting = deque([(start, ())])
    transitions = 0
    while waiting:
        saved, way = waiting.popleft()
        for event in events:
            pair.restore(saved)
            before = (pair.model.session, pair.model.armed, pair.model.command, pair.model.commanded)
            ours, theirs = pair.give(event)
            transitions += 1
            found = pair.difference()
            assert (ours, found) == (theirs, None), (*way, event)
            look(before, event, pair)
            key = pair.key()
            if key not in seen:
                seen.add(key)
                waiting.append((pair.saved(), (*way, event) if len(way) < 12 else way))
    return seen, transitions


@pytest.mark.parametrize(("steps", "least"), [(COARSE, 300), (FINE, 1000)], ids=["coarse", "fine"])
def test_every_reachable_state_is_the_models_and_no_wheel_moves_unasked(steps, least, record_property):
    pair = Pair(PERIOD - 750_007, 0xFFFF, steps[0])
    moved = Counter()

    def look(before, event, pair):
        if (pair.safety.left, pair.safety.right) == (0, 0):
            return
        # said without the model's own conclusions: what was in force before, and this very input
        session, armed, command, commanded = before
        assert session
        assert armed
        assert pair.safety.session == session
        if event[0] == CMD and event[1] == "ours" and pair.model.commanded > commanded and 0 < event[3] <= 500_000:
            moved["started"] += 1
        else:
            assert command, "a wheel moves that no command moved"
            assert event[0] != "wait" or command[1] > pair.step_us
            moved["kept"] += 1

    events = list(alphabet(*steps))
    seen, transitions = explore(pair, events, look)
    record_property("states", len(seen))
    record_property("transitions", transitions)
    print(f"{len(seen)} states, {len(events)} inputs, {transitions} transitions")
    assert {key[0] for key in seen} == {1, 2, 3, 4, 5}
    assert len(seen) > least
    assert min(moved["started"], moved["kept"]) > 100


def unlatched(safety_class, monkeypatch):
    monkeypatch.setattr(safety_class, "fail", lambda self, fault: self._halt())


def never_halts(safety_class, monkeypatch):
    monkeypatch.setattr(safety_class, "_halt", lambda self: None)


def all_is_newer(_, monkeypatch):
    monkeypatch.setattr("safety.newer", lambda a, b: True)


def endless_expiry(_, monkeypatch):
    monkeypatch.setattr("safety._EXPIRY_MAX_US", 1 << 29)


def any_session(safety_class, monkeypatch):
    monkeypatch.setattr(safety_class, "_belongs", lambda self, session: self.session != 0)


@pytest.mark.parametrize("broken", [unlatched, never_halts, all_is_newer, endless_expiry, any_session])
def test_a_broken_state_machine_is_found(broken, monkeypatch):
    from safety import Safety

    broken(Safety, monkeypatch)
    with pytest.raises(AssertionError):
        explore(Pair(0, 0, COARSE[0]), list(alphabet(*COARSE)))
