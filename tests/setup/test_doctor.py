"""The doctor's checks of this computer, on recorded trees."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from recorded import codes

from jepa_bridge.setup.doctor import host, port
from jepa_bridge.setup.doctor.examine import CHECKS, examine, mend
from jepa_bridge.setup.doctor.finding import Finding, Level, Target
from jepa_bridge.setup.doctor.system import Ran, System

DEVICE = "/dev/ttyUSB0"


@dataclass
class Listed:
    device: str = DEVICE
    vid: int | None = 0x10C4
    pid: int | None = 0xEA60


def usb(vid, pid, name="1-1.2"):
    folder = f"/sys/bus/usb/devices/{name}"
    return {f"{folder}/idVendor": f"{vid:04x}", f"{folder}/idProduct": f"{pid:04x}"}


# ---- the port ----


def test_nothing_is_on_usb(computer):
    hub = {**usb(0x1D6B, 0x0002, "usb1"), "/sys/bus/usb/devices/1-0:1.0/bInterfaceClass": "09"}
    found = codes(port.present(computer(hub), Target()))
    assert "cable" in found["port-none"].sentence
    assert "dmesg" in found["port-none"].do


@pytest.mark.parametrize(
    ("vid", "pid", "module"),
    [(0x1A86, 0x7523, "ch341"), (0x10C4, 0xEA60, "cp210x"), (0x0403, 0x6001, "ftdi_sio"), (0x303A, 0x1001, "cdc_acm")],
)
def test_an_adapter_without_a_driver(computer, vid, pid, module):
    found = codes(port.present(computer(usb(vid, pid)), Target()))
    assert found["adapter-without-driver"].do == f"sudo modprobe {module}"


def test_the_named_port_is_not_there(computer):
    found = codes(port.present(computer(listed=[Listed("/dev/ttyACM3")]), Target(DEVICE)))
    assert "/dev/ttyACM3" in found["port-missing"].sentence


def test_the_port_is_there(computer):
    assert set(codes(port.present(computer({DEVICE: ""}, listed=[Listed()]), Target(DEVICE)))) == {"port-ok"}
    assert set(codes(port.present(computer(listed=[Listed()]), Target()))) == {"port-ok"}
    two = computer(listed=[Listed(), Listed("/dev/ttyUSB1")])
    assert set(codes(port.present(two, Target()))) == {"ports-several"}


def test_a_url_is_no_matter_of_adapters(computer):
    system = computer(usb(0x10C4, 0xEA60))
    for check in (port.present, port.permission, port.holder, port.modem_manager, port.latency):
        assert codes(check(system, Target("sim://open"))) == {}


GROUPS = "root:x:0:\ndialout:x:20:{members}\nuucp:x:10:"


def test_permission(computer):
    def check(members="", **more):
        system = computer({DEVICE: "", "/etc/group": GROUPS.format(members=members)}, **more)
        return codes(port.permission(system, Target(DEVICE)))

    assert set(check()) == {"permission-ok"}
    refused = {"may_open": lambda _: False}
    assert check(**refused, group_of=lambda _: "dialout")["permission"].do == "sudo usermod -aG dialout mia"
    assert check(**refused, group_of=lambda _: "uucp")["permission"].do == "sudo usermod -aG uucp mia"
    assert check(**refused, group_of=lambda _: "root")["permission"].do == "sudo usermod -aG dialout mia"
    later = check("otto,mia", **refused, group_of=lambda _: "dialout")
    assert later["permission-login"].do == "newgrp dialout"


def test_arch_has_uucp(computer):
    system = computer(
        {DEVICE: "", "/etc/group": "root:x:0:\nuucp:x:10:"}, may_open=lambda _: False, group_of=lambda _: "root"
    )
    assert codes(port.permission(system, Target(DEVICE)))["permission"].do == "sudo usermod -aG uucp mia"


def test_the_holder_is_named_with_how_to_end_it(computer):
    found = codes(port.holder(computer(holders=lambda _: ["screen (pid 77)"]), Target(DEVICE)))
    assert "screen (pid 77)" in found["port-held"].sentence
    assert found["port-held"].do == "kill 77"
    ours = codes(port.holder(computer(holders=lambda _: ["jepa-bridge (pid 78)"]), Target(DEVICE)))
    assert ours["port-held"].do.startswith("systemctl stop 'jepa-bridge@*'")


def test_brltty(computer):
    ch340 = usb(0x1A86, 0x7523)
    assert codes(port.brltty(computer(ch340), Target())) == {}
    took = computer(ch340, running=["brltty"])
    found = codes(port.brltty(took, Target()))
    assert found["brltty"].level is Level.PROBLEM
    assert "mask --now brltty" in found["brltty"].do
    assert codes(port.present(took, Target())) == {}, "said once"
    beside = computer(ch340, running=["brltty"], listed=[Listed(DEVICE, 0x1A86, 0x7523)])
    assert codes(port.brltty(beside, Target()))["brltty"].level is Level.WARNING


def test_brltty_has_nothing_to_take(computer):
    assert codes(port.brltty(computer(usb(0x046D, 0xC077), running=["brltty"]), Target())) == {}


def test_modem_manager(computer):
    assert codes(port.modem_manager(computer(), Target(DEVICE))) == {}
    system = computer(running=["systemd", "ModemManager"])
    assert set(codes(port.modem_manager(system, Target(DEVICE)))) == {"modem-manager"}
    ours = computer({"/etc/udev/rules.d/70-jepa-bridge.rules": 'ENV{ID_MM_DEVICE_IGNORE}="1"'})
    assert codes(port.modem_manager(ours, Target(DEVICE))) == {}


def test_latency_is_found_and_mended(computer):
    name = "/sys/bus/usb-serial/devices/ttyUSB0/latency_timer"
    system = computer({name: "16"})
    (finding,) = port.latency(system, Target(DEVICE))
    assert codes([finding])["ftdi-latency"].do == f"echo 1 | sudo tee {name}"
    assert mend(finding) == (True, "mended")
    assert list(port.latency(system, Target(DEVICE))) == []
    assert list(port.latency(computer(), Target("/dev/ttyUSB1"))) == []


def test_what_this_user_may_not_mend_is_told():
    def refuse():
        raise PermissionError(13, "Permission denied")

    mended, told = mend(Finding("ftdi-latency", Level.WARNING, "x", "y", fix=refuse))
    assert not mended
    assert "Permission denied" in told
    assert mend(Finding("brltty", Level.PROBLEM, "x", "sudo z"))[0] is False


# ---- the computer ----


def plans(p99, least):
    told = {"p99_ms": p99, "one_iteration_p99_ms": least, "deadline_ms": 100.0, "device": "CPU, 1 thread(s)"}
    return Ran(0, "some warning\n" + json.dumps(told) + "\n")


@pytest.mark.parametrize(
    ("ran", "code"),
    [
        (plans(12, 3), "inference-ok"),
        (plans(130, 30), "inference-slow"),
        (plans(700, 140), "inference-too-slow"),
        (Ran(-11, "", "Illegal instruction"), "inference-failed"),
        (Ran(0, "no json"), "inference-failed"),
        (Ran(0, ""), "inference-failed"),
        (None, "inference-failed"),
    ],
)
def test_inference(computer, ran, code):
    found = codes(host.inference(computer(programs={Path(sys.executable).name: ran}), Target()))
    assert list(found) == [code]


def test_a_real_inference():
    (finding,) = host.inference(System(), Target(model="tiny"))
    assert finding.code.startswith("inference-")
    assert finding.code != "inference-failed", finding.sentence
    (failed,) = host.inference(System(), Target(model="no-such-model"))
    assert failed.code == "inference-failed"
    assert "no-such-model" in failed.sentence


@pytest.mark.parametrize(("free", "code"), [(5e9, "disk-ok"), (5e8, "disk-low"), (1e7, "disk-full")])
def test_disk(computer, tmp_path, free, code):
    target = Target(log_dir=str(tmp_path / "logs" / "deep"))
    assert list(codes(host.disk(computer(free_bytes=lambda _: free), target))) == [code]


def test_logs_that_cannot_be_written(computer, tmp_path):
    (tmp_path / "file").touch()
    target = Target(log_dir=str(tmp_path / "file" / "logs"))
    assert list(codes(host.disk(computer(), target))) == ["log-unwritable"]


PI = {"/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0"}


@pytest.mark.parametrize(
    ("told", "code", "says"),
    [("0x0", "power-ok", "5 Model B"), ("0x50005", "throttled", "lacks voltage, is throttled now"),
     ("0x50000", "throttled-before", "lacks voltage"), ("0x80008", "throttled", "temperature")],
)  # fmt: skip
def test_a_raspberry_pi(computer, told, code, says):
    programs = {"vcgencmd": Ran(0, f"throttled={told}\n")}
    found = codes(host.power(computer(PI, programs=programs), Target()))
    assert says in found[code].sentence
    sysfs = {**PI, "/sys/devices/platform/soc/soc:firmware/get_throttled": told.removeprefix("0x")}
    assert list(codes(host.power(computer(sysfs), Target()))) == [code]


def test_no_raspberry_pi(computer):
    assert codes(host.power(computer(programs={"vcgencmd": Ran(0, "throttled=0x1")}), Target())) == {}


def test_extras(computer):
    assert codes(host.extras(computer(installed=lambda _: True), Target())) == {}
    found = list(host.extras(computer(installed=lambda name: name != "torch"), Target()))
    assert [finding.do for finding in found] == ["pip install 'jepa-bridge[train]'"]
    assert found[0].level is Level.NOTE


# ---- all of it ----


def test_a_check_that_fails_hides_no_other(computer):
    def fails(*_):
        raise RuntimeError("oh")
        yield

    found = codes(examine(computer(installed=lambda _: False), Target(), [fails, host.extras]))
    assert list(found) == ["check-failed", "extra-missing"]
    assert len(CHECKS) == 11


def test_without_a_port_the_only_adapter_is_looked_at(computer):
    seen = []

    def look(_, target):
        seen.append(target.port)
        return iter(())

    list(examine(computer(listed=[Listed()]), Target(), [look]))
    list(examine(computer(listed=[Listed(), Listed("/dev/ttyUSB1")]), Target(), [look]))
    assert seen == [DEVICE, None]
