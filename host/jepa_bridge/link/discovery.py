"""Finds robots among the ports: by the USB adapters that robots have, and by what they say.

    discovery = Discovery(say=print)
    chosen = discovery.wait(robot=None, ended=lambda: False)    # None: whichever is there, if it is one alone
    Link(chosen.transport, ...)

It only listens. A port may belong to another device or to a MicroPython prompt, so nothing is written to any; a robot
says HELLO by itself, twice a second. Of several robots none is guessed: a person names one by its uid.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serial.tools import list_ports

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.codec import decode_payload, frame_of
from jepa_bridge.link.compatibility import incompatibility
from jepa_bridge.link.frame import FrameError, FrameReader
from jepa_bridge.link.schema import Hello
from jepa_bridge.link.transport import Transport, open_transport, port_holders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# CP210x, CH340, CH9102, FT232R; all of Espressif's own (native USB)
ADAPTERS = ((0x10C4, 0xEA60), (0x1A86, 0x7523), (0x1A86, 0x55D4), (0x0403, 0x6001))
ESPRESSIF_VID = 0x303A
HELLO_WAIT_S = 1.2  # two HELLO periods and some: by then a robot that is idle was heard
LISTEN_S = 4.0  # a robot whose host has just gone gives its session up after 2 s; then one that starts is heard, too
PAUSE_FIRST_S, PAUSE_MOST_S = 5.0, 40.0  # between two times of listening to one that says nothing
LIST_S = 0.2  # between two looks at which ports there are


def is_candidate(port: Any) -> bool:
    """Whether a robot may be behind that port of pyserial's list."""
    return port.vid is not None and (port.vid == ESPRESSIF_VID or (port.vid, port.pid) in ADAPTERS)


def normal_uid(text: str) -> str:
    """A uid as people write it -> as it is compared. Raises BridgeError `robot-uid`."""
    uid = text.strip().lower().replace(":", "").replace("-", "").removeprefix("0x")
    try:
        length = len(bytes.fromhex(uid))
    except ValueError:
        length = 0
    if not 4 <= length <= 16:
        raise BridgeError(
            "robot-uid",
            f"{text!r} is no robot's uid: expected 8 to 32 hexadecimal digits",
            "see them with: jepa-bridge ports",
            status=Exit.USAGE,
        )
    return uid


class Ear:
    """Listens on one port until a robot says HELLO."""

    def __init__(self, transport: Transport, now_s: float) -> None:
        self.transport = transport
        self.began_s = now_s
        self.reader = FrameReader()
        self.hello: Hello | None = None

    def listen(self) -> None:
        """Take what has come, waiting 20 ms at most. Raises `link-lost` when the port is gone."""
        for payload in self.reader.feed(self.transport.read()):
            try:
                message = decode_payload(payload)
            except FrameError:
                continue
            if isinstance(message, Hello):
                self.hello = message

    def hand_over(self) -> Transport:
        """The port, whose next bytes are the HELLO that was heard."""
        if self.hello is not None:
            self.transport.unread(frame_of(self.hello))
        return self.transport


@dataclass(slots=True)
class Heard:
    """What is known of one candidate port."""

    device: str
    adapter: str = ""
    ear: Ear | None = None
    error: BridgeError | None = None  # why it is not open
    quiet: int = 0  # times of listening that ended without a HELLO
    again_s: float = 0.0  # when to open it again

    @property
    def hello(self) -> Hello | None:
        """Of the robot there, if it is one."""
        return None if self.ear is None else self.ear.hello


@dataclass(frozen=True, slots=True)
class Chosen:
    """A robot that was found: its port, open, and what it said."""

    device: str
    transport: Transport
    hello: Hello


class Discovery:
    """Listens on all candidates at once. Not thread-safe."""

    def __init__(
        self,
        baud: int = 115200,
        *,
        say: Callable[[str], None] = lambda _: None,
        listed: Callable[[], Iterable[Any]] | None = None,
        opener: Callable[[str, int], Transport] = open_transport,
        holders: Callable[[str], list[str]] | None = None,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`say` tells a person what stands in the way, once each."""
        self.ports: dict[str, Heard] = {}
        self._baud = baud
        self._say = say
        self._listed = listed or list_ports.comports
        self._opener = opener
        self._holders = holders or port_holders
        self._now_s = now_s
        self._sleep = sleep
        self._list_due_s = 0.0
        self._told: set[tuple[str, str]] = set()

    def look(self) -> None:
        """One round: open what is new, take what has come, give back what says nothing."""
        now_s = self._now_s()
        if now_s >= self._list_due_s:
            self._list_due_s = now_s + LIST_S
            self._list()
        listening = False
        for heard in self.ports.values():
            if heard.ear is None and now_s >= heard.again_s:
                self._open(heard, now_s)
            if heard.ear is not None:
                listening = True
                self._listen(heard, now_s)
        if not listening:
            self._sleep(LIST_S / 4)

    def survey(self, seconds: float = HELLO_WAIT_S) -> list[Heard]:
        """All candidates after listening for so long; close it afterwards."""
        self.look()
        end_s = self._now_s() + seconds
        while self._now_s() < end_s and any(heard.ear and not heard.hello for heard in self.ports.values()):
            self.look()
        return list(self.ports.values())

    def wait(
        self, robot: str | None, ended: Callable[[], bool], each: Callable[[], None] = lambda: None
    ) -> Chosen | None:
        """The robot of that uid, or the only one; None once `ended`. Raises `several-robots`, `incompatible-...`."""
        wanted = None if robot is None else normal_uid(robot)
        try:
            while not ended():
                each()
                self.look()
                heard = self._choose(wanted)
                if heard is None or heard.ear is None or heard.hello is None:
                    continue
                if (error := incompatibility(heard.hello)) is not None:
                    raise error
                del self.ports[heard.device]
                return Chosen(heard.device, heard.ear.hand_over(), heard.hello)
        finally:
            self.close()
        return None

    def close(self) -> None:
        """Give all ports back."""
        for heard in self.ports.values():
            if heard.ear is not None:
                heard.ear.transport.close()
        self.ports.clear()

    def _choose(self, wanted: str | None) -> Heard | None:
        now_s = self._now_s()
        robots = [heard for heard in self.ports.values() if heard.hello is not None]
        if wanted is not None:
            for heard in robots:
                if heard.hello is not None and heard.hello.uid.hex() == wanted:
                    return heard
                self._tell(heard.device, f"{_described(heard)} is not the one that is waited for, {wanted}")
                self._rest(heard, now_s)  # somebody else may want it
            return None
        if not robots or any(
            heard.ear and not heard.hello and not heard.quiet and now_s - heard.ear.began_s < HELLO_WAIT_S
            for heard in self.ports.values()
        ):
            return None  # another robot may be about to speak
        if len(robots) > 1:
            raise several(robots)
        return robots[0]

    def _list(self) -> None:
        there = {port.device: port for port in self._listed() if is_candidate(port)}
        for device in [device for device in self.ports if device not in there]:
            self._drop(self.ports.pop(device))
        for device, port in there.items():
            if device not in self.ports:
                name = port.product or port.description or ""
                self.ports[device] = Heard(device, f"{port.vid:04x}:{port.pid:04x} {name}".strip())
                self._told = {told for told in self._told if told[0] != device}

    def _open(self, heard: Heard, now_s: float) -> None:
        holders = self._holders(heard.device)
        try:
            if holders:  # not even tried: opening moves the lines that reset a board
                raise BridgeError("port-busy", f"{heard.device} is in use by {', '.join(holders)}", status=Exit.PORT)
            heard.ear = Ear(self._opener(heard.device, self._baud), now_s)
            heard.error = None
        except BridgeError as error:
            heard.error = error
            heard.again_s = now_s + LIST_S  # udev sets the permissions after the device is there
            if error.code != "port-missing":
                self._tell(heard.device, f"{error.message}" + (f"; {error.hint}" if error.hint else ""))

    def _listen(self, heard: Heard, now_s: float) -> None:
        assert heard.ear is not None
        try:
            heard.ear.listen()
        except BridgeError as error:
            heard.error = error
            self._drop(heard)
            heard.again_s = now_s + LIST_S
            return
        if heard.hello is None and now_s - heard.ear.began_s > LISTEN_S:
            self._tell(heard.device, f"no robot said HELLO on {heard.device} ({heard.adapter}); listening now and then")
            self._rest(heard, now_s)

    def _rest(self, heard: Heard, now_s: float) -> None:
        """Leave a port alone for a while."""
        self._drop(heard)
        heard.again_s = now_s + min(PAUSE_MOST_S, PAUSE_FIRST_S * 2 ** min(heard.quiet, 8))
        heard.quiet += 1

    def _drop(self, heard: Heard) -> None:
        if heard.ear is not None:
            heard.ear.transport.close()
            heard.ear = None

    def _tell(self, device: str, text: str) -> None:
        if (device, text) not in self._told:
            self._told.add((device, text))
            self._say(text)


def several(robots: Iterable[Heard]) -> BridgeError:
    """The error for more than one robot: which there are."""
    listed = "; ".join(_described(heard) for heard in robots)
    return BridgeError(
        "several-robots",
        f"more than one robot is there, and none is guessed: {listed}",
        "name one: jepa-bridge --robot UID, or --port PORT",
        status=Exit.USAGE,
    )


def _described(heard: Heard) -> str:
    assert heard.hello is not None
    return f"robot {heard.hello.uid.hex()} ({heard.hello.board}) on {heard.device}"
