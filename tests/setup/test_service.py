"""Unit and rules: as systemd and udev read them, and as they are installed and taken away."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from jepa_bridge.cli import cli
from jepa_bridge.errors import BridgeError
from jepa_bridge.link.discovery import ADAPTERS
from jepa_bridge.record.writer import CLOSE_TIMEOUT_S
from jepa_bridge.setup import service as setup
from jepa_bridge.setup.units import RULES, STOP_TIMEOUT_S, UNIT, WATCHDOG_S, Service, quoted, rules, unit

PROGRAM = (sys.executable,)
SERVICE = Service(PROGRAM, ("--goal", "4,4"), run_as=getpass.getuser(), group="dialout")


def value(text, key):
    (found,) = re.findall(rf"^{key}=(.*)$", text, re.M)
    return found


@pytest.mark.parametrize("service", [SERVICE, Service(PROGRAM, for_user=True)], ids=["system", "user"])
def test_systemd_takes_the_unit(tmp_path, service):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    path = tmp_path / UNIT
    path.write_text(unit(service))
    mode = ["--user"] if service.for_user else ["--system"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    ran = subprocess.run(
        ["systemd-analyze", *mode, "--man=no", "--recursive-errors=no", "verify", str(path)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if UNIT[:-8] in line]) == (0, []), ran.stderr


def test_systemd_rates_it_as_hardened(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    path = tmp_path / UNIT.replace("@.", "@ttyUSB0.")
    path.write_text(unit(SERVICE))
    ran = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-300:] + ran.stderr


def test_udev_takes_the_rules(tmp_path):
    if shutil.which("udevadm") is None:
        pytest.skip("this machine has no udevadm")
    if "verify" not in subprocess.run(["udevadm", "--help"], capture_output=True, text=True, check=False).stdout:
        pytest.skip("this udevadm cannot verify: it is older than systemd 254")
    for text in (rules(), rules(for_user=True), rules(start=False)):
        (tmp_path / RULES).write_text(text)
        ran = subprocess.run(["udevadm", "verify", str(tmp_path / RULES)], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


OPERATORS = r'(?:[A-Z]+(?:\{[\w$]+\})?(?:==|!=|\+=|=)"[^"]*")'


def test_the_rules_are_well_formed_and_name_every_adapter():
    for text in (rules(), rules(for_user=True), rules(start=False)):
        for line in text.splitlines():
            assert line.startswith("#") or re.fullmatch(rf"{OPERATORS}(?:, {OPERATORS})*", line), line
        assert text.count("GOTO=") == 2
        assert text.count("LABEL=") == 1
    for vid, pid in ADAPTERS:
        assert f'ATTRS{{idVendor}}=="{vid:04x}", ATTRS{{idProduct}}=="{pid:04x}"' in rules()
    assert 'ATTRS{idVendor}=="303a", TAG' in rules()


def test_plugging_in_starts_the_bridge_of_that_port():
    assert rules().count('ENV{SYSTEMD_WANTS}+="jepa-bridge@%k.service"') == len(ADAPTERS) + 1
    assert 'ENV{SYSTEMD_USER_WANTS}+="jepa-bridge@%k.service"' in rules(for_user=True)
    assert "WANTS" not in rules(start=False)
    for text in (rules(), rules(start=False)):
        assert 'TAG+="uaccess"' in text
        assert 'ENV{ID_MM_DEVICE_IGNORE}="1"' in text
    assert RULES < "73-seat-late.rules"


def test_unplugging_stops_it_and_the_log_has_time_to_close():
    text = unit(SERVICE)
    assert value(text, "BindsTo") == value(text, "After") == "dev-%i.device"
    assert int(value(text, "TimeoutStopSec")) == STOP_TIMEOUT_S > CLOSE_TIMEOUT_S + 5
    assert value(text, "Type") == "notify"
    assert int(value(text, "WatchdogSec")) == WATCHDOG_S
    assert value(text, "SuccessExitStatus") == "130"
    assert value(text, "Restart") == "no", "a start arms"


def test_the_command():
    command = shlex.split(value(unit(SERVICE), "ExecStart"))
    assert command == [sys.executable, "--port", "/dev/%I", "--log", "%S/jepa-bridge/logs", "--goal", "4,4"]
    assert "--log" not in value(unit(Service(PROGRAM, ("--no-log",))), "ExecStart")
    assert "--config /a.toml --port" in value(unit(Service(PROGRAM, config="/a.toml")), "ExecStart")
    assert "User=" not in unit(Service(PROGRAM, for_user=True))


@pytest.mark.parametrize(
    ("word", "written"),
    [("4,4", "4,4"), ("a b", '"a b"'), ("50%", "50%%"), ("$HOME", "$$HOME"), ('a"b\\', '"a\\"b\\\\"'), ("", '""')],
)
def test_words_keep_their_meaning(word, written):
    assert quoted(word) == written


class Machine:
    def __init__(self, folder, status=0, said=""):
        self.ran, self.status, self.said = [], status, said
        self.place = setup.Place(folder / "root", folder / "home", self.run)

    def run(self, command):
        self.ran.append(" ".join(command))
        return self.status, self.said


def test_install_status_remove(tmp_path):
    machine = Machine(tmp_path, said="jepa-bridge@ttyUSB0.service loaded active running jepa-bridge drives")
    assert setup.status(machine.place)["system_unit"] is None
    assert setup.install(SERVICE, machine.place) == []
    assert machine.ran[1:] == [
        "systemctl --user list-units --plain --no-legend --all jepa-bridge@*.service",
        "systemctl daemon-reload", "udevadm control --reload", "udevadm trigger --subsystem-match=tty",
    ]  # fmt: skip
    found = setup.status(machine.place)
    assert found["system_unit"] == str(tmp_path / "root/etc/systemd/system" / UNIT)
    assert found["rules"] == str(tmp_path / "root/etc/udev/rules.d" / RULES)
    assert found["running"]["system"] == [["jepa-bridge@ttyUSB0.service", "loaded", "active", "running"]]
    assert len(setup.remove(machine.place, for_user=False)[0]) == 2
    assert "systemctl stop jepa-bridge@*.service" in machine.ran
    assert setup.remove(machine.place, for_user=False) == ([], [])


def test_a_users_own_service_leaves_the_rules_to_root(tmp_path):
    machine = Machine(tmp_path)
    (tmp_path / "root").touch()  # no folder: nothing can be written there
    left = setup.install(Service(PROGRAM, for_user=True), machine.place)
    assert (tmp_path / "home/.config/systemd/user" / UNIT).is_file()
    assert "--only rules --dry-run | sudo tee" in left[0]
    assert left[1:] == ["sudo udevadm control --reload", "sudo udevadm trigger --subsystem-match=tty"]
    assert machine.ran == ["systemctl --user daemon-reload"]
    gone, left = setup.remove(machine.place, for_user=True)
    assert [path.name for path in gone] == [UNIT]
    assert left == [f"sudo rm {machine.place.rules()}"]
    with pytest.raises(BridgeError) as caught:
        setup.install(SERVICE, machine.place)
    assert caught.value.code == "service-refused"
    assert "sudo" in caught.value.hint


def test_a_machine_without_systemd_is_told_what_is_left(tmp_path):
    machine = Machine(tmp_path, status=127)
    assert setup.install(SERVICE, machine.place, only="rules")[0] == "sudo systemctl daemon-reload"
    assert setup.status(machine.place)["running"] == {"system": None, "user": None}


def test_the_group_of_serial_ports(tmp_path):
    (tmp_path / "etc").mkdir()
    assert setup.serial_group(tmp_path) == "dialout"
    (tmp_path / "etc/group").write_text("uucp:x:10:\nwheel:x:11:\n")
    assert setup.serial_group(tmp_path) == "uucp"


def test_dry_run_prints_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    ran = CliRunner().invoke(
        cli, ["service", "install", "--user", "--dry-run", "--", "--goal", "4,4"], standalone_mode=False
    )
    assert ran.exception is None, ran.exception
    assert f"# {tmp_path}/systemd/user/{UNIT}" in ran.stdout
    assert f"# /etc/udev/rules.d/{RULES}" in ran.stdout
    assert "--goal 4,4" in ran.stdout
    assert list(tmp_path.iterdir()) == []
    refused = CliRunner().invoke(cli, ["service", "install", "--dry-run", "--", "--port", "x"])
    assert refused.exit_code != 0
