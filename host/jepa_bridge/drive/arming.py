"""Whether this run may move the robot: armed at its start, disarmed with its link, armed again by a person's word.

A link that breaks is looked for again. The robot that comes back is the same by its uid, but what happened meanwhile
nobody saw: somebody may have picked it up. So it stays disarmed until someone says so (`permit`), or said so
beforehand (`standing`). A robot that restarted does not know where it stands any more: that ends the run.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.schema import Fault, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.link import Link, Request

ARM_TIMEOUT_S = 3.0


class _Phase(Enum):
    LOOKING = "looking"  # this run does not arm
    ARMED = "armed"
    AWAY = "away"  # the link broke
    BACK = "back"  # there is a session again; waiting for a person
    ARMING = "arming"


class Arming:
    """Follows the link and the robot for one run. `check` belongs to the control loop, the rest to anyone."""

    def __init__(
        self,
        link: Link,
        say: Callable[[str], None],
        *,
        standing: bool = False,
        patience_s: float = 0.0,
        how: str = "start again to drive",
    ) -> None:
        """`how` tells a person what to do to have the robot armed again; `patience_s` is the longest search."""
        self._link = link
        self._say = say
        self._standing = standing
        self._patience_us = round(patience_s * 1e6)
        self._how = how
        self._phase = _Phase.LOOKING
        self._moves = False
        self._lost: BridgeError | None = None
        self._lost_us = 0
        self._boot_id: int | None = None
        self._permitted = False
        self._request: Request | None = None

    def begin(self) -> None:
        """Arm at the start. A latch of an earlier run is cleared: giving a goal is the person's word to go on."""
        if self._link.state is State.STOPPED:
            self._link.clear()
        self._link.arm(ARM_TIMEOUT_S)
        self._moves = True
        self._boot_id = self._link.hello.boot_id if self._link.hello else None
        self._phase = _Phase.ARMED

    def permit(self) -> None:
        """A person says that the robot may move again. Counts only once it is back and that was told."""
        self._permitted = self._phase is _Phase.BACK

    def lost(self, error: BridgeError) -> None:
        """The port broke; the link looks for it again."""
        self._lost = error

    def check(self, now_us: int) -> None:
        """Go on from what the link and the robot say; raises what the run cannot go on with."""
        if self._link.error is not None:
            raise self._link.error
        if self._lost is not None and self._phase is not _Phase.AWAY:
            self._phase = _Phase.AWAY
            self._lost_us = now_us
            self._say(f"link lost: {self._lost.message}; the wheels stop by themselves. Looking for the robot")
        if self._phase is _Phase.AWAY:
            self._check_away(now_us)
            return
        self._check_robot()
        if self._phase is _Phase.BACK and (self._permitted or self._standing):
            self._permitted = False
            self._request = self._link.request_arm()
            self._phase = _Phase.ARMING
        elif self._phase is _Phase.ARMING and self._request is not None and self._request.done:
            self._phase = _Phase.ARMED if self._link.armed else _Phase.BACK
            self._standing = self._standing and self._link.armed  # refused once, it is for a person to see why
            self._say("armed again" if self._link.armed else f"the robot refused to be armed; {self._how}")

    def _check_away(self, now_us: int) -> None:
        lost, self._lost = self._lost, None  # before the look: it may break again right after
        if not self._link.ready():
            self._lost = self._lost or lost
            if now_us - self._lost_us > self._patience_us and self._lost is not None:
                raise self._lost
            return
        self._check_robot()
        if not self._moves:
            self._phase = _Phase.LOOKING
            self._say(f"the robot is back on {self._link.port}")
            return
        self._phase = _Phase.BACK
        self._say(f"the robot is back on {self._link.port}, disarmed" + ("" if self._standing else f"; {self._how}"))

    def _check_robot(self) -> None:
        link = self._link
        armed, hello = link.armed, link.hello  # in this order: a port that breaks in between is no lost session
        if self._moves and hello is not None and hello.boot_id != self._boot_id:
            cause = hello.reset_cause.name.lower().replace("_", " ")
            raise BridgeError(
                "robot-restarted",
                f"the robot restarted (cause: {cause}); it is disarmed and does not know where it stands any more",
                "look at its power; then start again, with --start if it moved since its first start",
                status=Exit.LINK_LOST,
            )
        if link.state is State.STOPPED:
            fault = Fault.NONE if link.status is None else link.status.fault
            raise BridgeError(
                "robot-stopped",
                f"the robot stopped itself: {fault.name.lower()}",
                "see to the cause, then start again: a new run clears the stop",
                status=Exit.ROBOT_REFUSED,
            )
        if self._phase is _Phase.ARMED and hello is not None and not armed and self._lost is None:
            raise BridgeError(
                "session-lost",
                "the robot gave up our session and is disarmed: this program was held up for seconds, or unheard",
                "start again; if it keeps happening, look at the cable, and at what else this machine does",
                status=Exit.LINK_LOST,
            )
