"""Who is found among the ports, what is written to the others, and what is done about several."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link import Clock, Link, Reopener, open_transport
from jepa_bridge.link.discovery import Discovery, is_candidate, normal_uid

from .fake_device import FakeDevice


@dataclass
class Listed:
    """A descriptor as pyserial gives it."""

    device: str
    vid: int | None = 0x10C4
    pid: int | None = 0xEA60
    serial_number: str | None = "0001"
    product: str | None = "CP2102 USB to UART Bridge Controller"
    description: str = "n/a"


# as pyserial listed them on Linux: what they are, and whether a robot may be behind them
RECORDED = [
    (0x10C4, 0xEA60, True),  # Silicon Labs CP2102, ESP32 DevKitC
    (0x1A86, 0x7523, True),  # CH340
    (0x1A86, 0x55D4, True),  # CH9102F
    (0x0403, 0x6001, True),  # FT232R
    (0x303A, 0x1001, True),  # ESP32-S3 and -C3, USB JTAG/serial
    (0x303A, 0x4001, True),  # MicroPython on native USB
    (0x0403, 0x6010, False),  # FT2232: a debug probe
    (0x2341, 0x0043, False),  # Arduino Uno
    (0x1546, 0x01A8, False),  # u-blox GPS
    (None, None, False),  # /dev/ttyS0
]


@pytest.mark.parametrize(("vid", "pid", "expected"), RECORDED)
def test_candidates_by_their_adapter(vid, pid, expected):
    assert is_candidate(Listed("/dev/x", vid, pid)) is expected


def discovery(listed, **more):
    said = []
    made = Discovery(
        say=said.append, listed=lambda: [Listed(one.path) if isinstance(one, FakeDevice) else one for one in listed],
        holders=lambda _: [], **more,
    )  # fmt: skip
    return made, said


def within(seconds):
    end_s = time.monotonic() + seconds
    return lambda: time.monotonic() > end_s


def test_the_only_robot_is_found_beside_strangers_to_whom_nothing_is_written():
    with FakeDevice(hello=False, text=b"\r\n>>> ") as prompt, FakeDevice() as robot:
        finding, _ = discovery([prompt, robot, Listed("/dev/nobody", 0x2341, 0x43)])
        chosen = finding.wait(None, within(8))
        assert chosen is not None
        assert (chosen.device, chosen.hello.uid) == (robot.path, robot.uid)
        assert (prompt.bytes_in, robot.bytes_in) == (b"", b"")
        link = Link(chosen.transport, Clock())
        link.start()
        began_s = time.monotonic()
        assert link.wait_ready().uid == robot.uid
        assert time.monotonic() - began_s < 5
        link.close()
        assert prompt.bytes_in == b""


def test_the_hello_that_was_heard_is_handed_over_with_the_port():
    with FakeDevice() as robot:
        chosen = discovery([robot])[0].wait(None, within(8))
        robot.hello = False  # no other one comes
        link = Link(chosen.transport, Clock())
        link.start()
        assert link.wait_ready(3.0).uid == robot.uid
        link.close()


def test_several_robots_are_listed_and_none_is_taken():
    with FakeDevice(uid=b"\1\2\3\4") as one, FakeDevice(uid=b"\5\6\7\x08") as other:
        with pytest.raises(BridgeError) as caught:
            discovery([one, other])[0].wait(None, within(8))
        error = caught.value
        assert (error.code, error.status) == ("several-robots", Exit.USAGE)
        assert all(part in error.message for part in ("01020304", one.path, "05060708", other.path))
        assert "--robot UID" in error.hint
        assert one.bytes_in == other.bytes_in == b""


def test_the_named_one_of_several_is_taken():
    with FakeDevice(uid=b"\1\2\3\4") as one, FakeDevice(uid=b"\5\6\7\x08") as other:
        chosen = discovery([one, other])[0].wait("05:06:07:08", within(8))
        assert chosen.device == other.path
        open_transport(one.path).close()  # given back
        chosen.transport.close()


def test_a_robot_that_is_not_the_named_one_is_told_and_left_to_others():
    with FakeDevice() as robot:
        finding, said = discovery([robot])
        assert finding.wait("05060708", within(1.0)) is None
        assert len(said) == 1
        assert "01020304" in said[0]
        assert robot.bytes_in == b""


def test_it_waits_until_one_is_plugged_in():
    with FakeDevice() as robot:
        there = []
        finding, _ = discovery(there)
        threading.Timer(0.3, lambda: there.append(robot)).start()
        chosen = finding.wait(None, within(8))
        assert chosen.device == robot.path
        chosen.transport.close()


def test_old_firmware_is_named_and_gets_nothing():
    with FakeDevice(schema_hash=b"\0\1\2\3") as robot:
        with pytest.raises(BridgeError) as caught:
            discovery([robot])[0].wait(None, within(8))
        assert caught.value.code == "incompatible-schema"
        assert robot.bytes_in == b""


def test_a_port_that_someone_holds_is_not_opened_and_its_holder_is_named():
    with FakeDevice() as robot:
        opened, said = [], []
        finding = Discovery(
            say=said.append, listed=lambda: [Listed(robot.path)], holders=lambda _: ["screen (pid 7)"],
            opener=lambda name, _: opened.append(name),
        )  # fmt: skip
        assert finding.wait(None, within(0.6)) is None
        assert opened == []
        assert said == [f"{robot.path} is in use by screen (pid 7)"]


def test_what_may_not_be_opened_is_told_once_and_tried_again():
    tries = []

    def refuse(name, _baud):
        tries.append(name)
        raise BridgeError("port-permission", f"this user may not open {name}", "run usermod", status=Exit.PORT)

    finding, said = discovery([Listed("/dev/ttyUSB0")], opener=refuse)
    assert finding.wait(None, within(1.0)) is None
    assert len(tries) > 1
    assert said == ["this user may not open /dev/ttyUSB0; run usermod"]


class Clockwork:
    """Time that passes only when it is slept or read through."""

    def __init__(self):
        self.s = 0.0

    def now(self):
        return self.s

    def sleep(self, seconds):
        self.s += seconds


class Silent:
    """A port on which nothing comes."""

    def __init__(self, clock, closed):
        self.clock, self.closed, self.name = clock, closed, "silent"

    def read(self):
        self.clock.s += 0.02
        return b""

    def close(self):
        self.closed.append(self.clock.s)


def test_a_silent_port_is_given_back_and_listened_to_with_growing_pauses():
    clock, closed, opened = Clockwork(), [], []

    def open_it(*_):
        opened.append(clock.s)
        return Silent(clock, closed)

    finding, said = discovery([Listed("/dev/ttyUSB0")], opener=open_it, now_s=clock.now, sleep=clock.sleep)
    assert finding.wait(None, lambda: clock.s > 150) is None
    assert len(said) == 1
    pauses = [again - gone for gone, again in zip(closed, opened[1:], strict=False)]
    assert pauses[:4] == pytest.approx([5, 10, 20, 40], abs=0.3)


@pytest.mark.parametrize("text", ["", "xyz", "0102", "01020", "00" * 17])
def test_no_uid(text):
    with pytest.raises(BridgeError) as caught:
        normal_uid(text)
    assert caught.value.code == "robot-uid"


def test_a_uid_as_people_write_it():
    assert normal_uid(" 0xA1-B2:c3d4 ") == "a1b2c3d4"


# ---- after a cable was pulled ----


def test_of_adapters_with_the_same_serial_number_the_robot_itself_is_found():
    with FakeDevice(uid=b"\5\6\7\x08") as other, FakeDevice(uid=b"\1\2\3\4") as robot:
        reopen = Reopener(robot.path, listed=lambda: [Listed(other.path), Listed(robot.path)], uid=robot.uid)
        reopen._url = "/dev/ttyUSB0"  # where it was
        transport = reopen()
        assert transport.name == robot.path
        transport.close()
        assert other.bytes_in == b""


def test_a_pause_ends_when_a_port_comes_and_not_when_one_goes(tmp_path):
    closing = threading.Event()
    (tmp_path / "ttyUSB0").touch()
    reopen = Reopener("/dev/nothing", listed=list, devices=tmp_path)
    threading.Timer(0.1, (tmp_path / "ttyUSB0").unlink).start()
    threading.Timer(0.4, (tmp_path / "ttyACM1").touch).start()
    began_s = time.monotonic()
    assert reopen.pause(closing, 20.0) is False
    assert time.monotonic() - began_s >= 0.3
    threading.Timer(0.1, (tmp_path / "ttyACM1").chmod, (0o600,)).start()  # udev, a moment later
    assert reopen.pause(closing, 20.0) is False
    closing.set()
    assert reopen.pause(closing, 20.0) is True
