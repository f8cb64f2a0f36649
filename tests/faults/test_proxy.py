"""The proxy between two ports, byte by byte: no firmware, a plain pty stands for the robot."""

from __future__ import annotations

import os
import time
import tty

import pytest

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link import open_transport
from jepa_bridge.link.chaos import Faults, Span, Way
from jepa_bridge.link.proxy import QUEUED_MAX_BYTES, Proxy


@pytest.fixture
def robot():
    """Both ends of the robot's port: what the robot holds, and what the proxy is given."""
    device, port = os.openpty()
    tty.setraw(port)
    os.set_blocking(device, False)
    os.set_blocking(port, False)
    yield device, port
    os.close(device)
    os.close(port)


@pytest.fixture
def proxied(robot):
    """A proxy in front of the robot with these faults, and the host's transport through it."""
    opened = []

    def start(faults=None, **options):
        proxy = Proxy(robot[1], faults, **options)
        transport = open_transport(proxy.path)
        opened.extend((transport, proxy))
        return proxy, transport

    yield start
    for one in opened:
        one.close()


def read(fd, count, within_s=2.0):
    data = b""
    end_s = time.monotonic() + within_s
    while len(data) < count and time.monotonic() < end_s:
        try:
            data += os.read(fd, 4096)
        except BlockingIOError:
            time.sleep(0.001)
    return data


def heard(transport, count, within_s=2.0):
    data = b""
    end_s = time.monotonic() + within_s
    while len(data) < count and time.monotonic() < end_s:
        data += transport.read()
    return data


def test_bytes_pass_both_ways_and_are_seen_on_both_sides(robot, proxied):
    sent, delivered = [], []
    _, transport = proxied(on_sent=lambda *seen: sent.append(seen), on_delivered=lambda *seen: delivered.append(seen))
    transport.write(b"to the robot")
    assert read(robot[0], 12) == b"to the robot"
    os.write(robot[0], b"to the host")
    assert heard(transport, 11) == b"to the host"
    assert sent == delivered == [(Way.ROBOT, b"to the robot"), (Way.HOST, b"to the host")]


def test_delay_holds_bytes_back_and_does_not_reorder_them(robot, proxied):
    _, transport = proxied(Faults(delay=100, jitter=50))
    began_s = time.monotonic()
    for number in range(10):
        transport.write(b"%d" % number)
        time.sleep(0.005)
    first = read(robot[0], 1)
    assert first
    assert time.monotonic() - began_s >= 0.1
    assert first + read(robot[0], 10 - len(first)) == b"0123456789"


def test_a_stall_takes_what_the_kernel_holds_and_gives_it_later(robot, proxied):
    proxy, transport = proxied()
    proxy.stall(Way.ROBOT)
    transport.write(b"x" * 500)
    os.write(robot[0], b"the other way goes on")
    assert heard(transport, 21) == b"the other way goes on"
    assert read(robot[0], 1, within_s=0.1) == b""
    proxy.stall(Way.ROBOT, on=False)
    assert read(robot[0], 500) == b"x" * 500


def test_a_reader_that_does_not_read_costs_bounded_memory(robot, proxied):
    _, transport = proxied()
    written = 0
    while transport.write(b"y" * 1024) and written < 100 * QUEUED_MAX_BYTES:
        written += 1024
    assert written < 4 * QUEUED_MAX_BYTES, "the writer was let in for ever"


def test_a_flood_is_noise_without_a_zero_instead_of_what_was_sent(robot, proxied):
    proxy, transport = proxied()
    proxy.flood(Way.ROBOT)
    transport.write(b"\0lost\0")
    noise = read(robot[0], 2000)
    assert len(noise) >= 2000
    assert 0 not in noise
    proxy.flood(Way.ROBOT, on=False)
    read(robot[0], 10_000, within_s=0.1)
    transport.write(b"\0heard\0")
    assert read(robot[0], 7).endswith(b"\0heard\0")


def test_a_cut_hangs_up_and_a_replug_has_another_name(robot, proxied, tmp_path):
    proxy, transport = proxied(symlink=tmp_path / "by-id")
    names = [proxy.path]
    for _ in range(3):
        assert str((tmp_path / "by-id").readlink()) == names[-1]
        proxy.cut()
        assert proxy.path is None
        assert not (tmp_path / "by-id").is_symlink()
        with pytest.raises(BridgeError) as error:
            heard(transport, 1)
        assert error.value.code == "link-lost"
        transport.close()
        os.write(robot[0], b"nobody hears this")
        time.sleep(0.02)
        proxy.replug()
        names.append(proxy.path)
        assert names[-1] != names[-2]
        transport = open_transport(proxy.path)
        os.write(robot[0], b"again")
        assert heard(transport, 5) == b"again"
    transport.close()


def test_spans_happen_by_themselves(robot, proxied):
    proxy, _ = proxied(Faults(cut=(Span(0.2, 0.2),)))
    name = proxy.path
    time.sleep(0.3)
    assert proxy.path is None
    time.sleep(0.2)
    assert proxy.path not in (None, name)


def test_a_robot_that_goes_takes_the_port_along(proxied, robot):
    device, port = os.openpty()
    tty.setraw(port)
    proxy = Proxy(port)
    transport = open_transport(proxy.path)
    os.close(device)
    with pytest.raises(BridgeError):
        heard(transport, 1)
    proxy.replug()
    assert proxy.path is None
    transport.close()
    proxy.close()
    os.close(port)


# ---- as a URL ----


def test_a_url_opens_the_port_behind_and_keeps_it_over_a_cut(robot):
    name = os.ttyname(robot[1])
    url = f"chaos://cut=0.2:0.3@{name}"
    transport = open_transport(url)
    assert transport.name == url
    with pytest.raises(BridgeError) as error:
        heard(transport, 1)
    assert error.value.code == "link-lost"
    transport.close()
    with pytest.raises(BridgeError) as error:
        open_transport(url)
    assert (error.value.code, error.value.status) == ("port-missing", Exit.PORT)
    with pytest.raises(BridgeError) as error:
        open_transport(name)
    assert error.value.code == "port-busy", "the proxy let the port behind go"
    time.sleep(0.4)
    transport = open_transport(url)
    os.write(robot[0], b"still there")
    assert heard(transport, 11) == b"still there"
    transport.close()
    open_transport(name).close()  # and now it is free


@pytest.mark.parametrize(
    ("url", "code"), [("chaos://flip=0.1@/dev/ttyNONE", "port-missing"), ("chaos://flip=0.1@loop://", "chaos-port")]
)
def test_a_port_that_cannot_be_had_says_so(url, code):
    with pytest.raises(BridgeError) as error:
        open_transport(url)
    assert error.value.code == code
