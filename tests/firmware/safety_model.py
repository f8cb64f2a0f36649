"""PROTOCOL.md's "Device states" said a second time, as permissions instead of states and transitions.

The firmware counts modulo 2^30 and 2^16; this model counts from the beginning and never wraps. Where the two agree, the
wrapping is sound as well.
"""

from running_firmware import ARM, ARMED, CLEAR, CMD, DRIVING, IDLE, OPEN, OPENED, POSE, REBOOT, STOP, STOPPED, TIME_SYNC

NONE, HOST_STOP, SESSION_LOST, EXCEPTION, MOTOR, BATTERY = range(6)
OK, WRONG_STATE, WRONG_SESSION, WRONG_VERSION, FAULT_PRESENT, OUT_OF_RANGE = range(6)
SILENT = None  # no ACK
CUTTING = (EXCEPTION, MOTOR)
EXPIRY_MAX_US = 500_000
SILENCE_MAX_US = 2_000_000
LAG_MAX = 0x4000  # a CMD older than that against the newest frame is stale, whatever was commanded


class Model:
    """What the host was permitted so far. Sessions are named by the host's choice, 0 is none."""

    def __init__(self):
        self.session = 0
        self.armed = False  # ARM was accepted in this session, and nothing has taken it back
        self.latch = None  # the fault that only CLEAR takes away
        self.lost = False  # the last session ended in silence
        self.condition = NONE
        self.silence_us = 0
        self.command = None  # (wheels, time left) of the fresh command
        self.newest = self.commanded = self.applied = 0  # positions in the host's stream
        self.refused = self.expired = 0

    def saved(self):
        return dict(self.__dict__)

    def restore(self, saved):
        self.__dict__.update(saved)

    # ---- what can be seen -------------------------------------------------------------------------------

    @property
    def state(self):
        if not self.session:
            return IDLE
        if self.latch:
            return STOPPED
        if self.armed:
            return DRIVING if self.command else ARMED
        return OPENED

    @property
    def fault(self):
        return self.latch or (SESSION_LOST if self.lost else NONE)

    @property
    def wheels(self):
        return self.command[0] if self.command else (0, 0)

    # ---- what can happen --------------------------------------------------------------------------------

    def message(self, type_, session, position, *fields):
        """The result in the ACK, or SILENT."""
        if type_ == OPEN:
            return self._open(session, position, *fields)
        if not session or session != self.session:
            self.refused += 1
            return SILENT if type_ == CMD else WRONG_SESSION
        self.silence_us = 0
        fresh = position > self.newest
        if type_ == CMD:
            return self._cmd(position, *fields)
        self.newest = max(self.newest, position)
        if type_ == TIME_SYNC:
            return OK
        if type_ == STOP:
            self.fail(HOST_STOP)
            return OK
        if not fresh:
            self.refused += 1
            return SILENT
        return {ARM: self._arm, CLEAR: self._clear, POSE: self._pose, REBOOT: self._reboot}[type_]()

    def _open(self, session, position, version):
        if version != 1:
            return WRONG_VERSION
        if not session:
            return OUT_OF_RANGE
        self.silence_us = 0
        if session == self.session:
            self.newest = max(self.newest, position)
        else:
            self.session = session
            self.newest = self.commanded = self.applied = position
            self.lost = False
            self._disarm()
        return OK

    def _arm(self):
        if self.latch or self.condition:
            return FAULT_PRESENT
        self.armed = True
        return OK

    def _clear(self):
        if self.latch and self.condition:
            return FAULT_PRESENT
        self.latch = None
        return OK

    def _pose(self):
        return WRONG_STATE if self.armed else OK

    def _reboot(self):
        return WRONG_STATE if self.command else OK

    def _cmd(self, position, wheels, expires_in_us):
        fresh = position > max(self.commanded, self.newest - LAG_MAX)
        self.newest = max(self.newest, position)
        if fresh:
            self.commanded = position
        if fresh and expires_in_us <= 0:
            self.expired += 1
        elif not fresh or expires_in_us > EXPIRY_MAX_US or not self.armed:
            self.refused += 1
        else:
            self.command = (wheels, expires_in_us)
            self.applied = position
        return SILENT

    def wait(self, duration_us):
        if self.command:
            wheels, left_us = self.command
            self.command = (wheels, left_us - duration_us) if left_us > duration_us else None
        self.silence_us += duration_us
        if self.session and self.silence_us >= SILENCE_MAX_US:
            self.session = 0
            self.lost = True
            self._disarm()

    def fail(self, fault):
        if not self.latch or fault in CUTTING:
            self.latch = fault
        self._disarm()

    def see(self, condition):
        self.condition = condition
        if condition == MOTOR or (condition and self.armed):
            self.fail(condition)

    def _disarm(self):
        self.armed = False
        self.command = None
