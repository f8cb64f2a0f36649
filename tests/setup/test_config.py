"""The settings file: what is refused, what goes before what, and that the log says it."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from jepa_bridge.cli import cli
from jepa_bridge.cli.settings import option_name, settings
from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.setup.config import environment_name


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("JEPA_BRIDGE_CONFIG", raising=False)

    def run(*arguments, file=None, **environment):
        path = tmp_path / "jepa-bridge" / "config.toml"
        if file is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_text(file)
        ran = CliRunner().invoke(cli, list(arguments), env=environment, standalone_mode=False)
        if isinstance(ran.exception, BridgeError | click.ClickException):
            raise ran.exception
        assert ran.exception is None, ran.exception
        return ran.stdout

    return run


def shown(call, *arguments, **more):
    return json.loads(call(*arguments, "config", "show", "--json", **more))["settings"]


def test_a_flag_goes_before_the_environment_that_before_the_file_that_before_the_default(call):
    file = 'radius = 0.5\nseed = 3\nmodel = "a"\ntime_limit = 9'
    found = shown(call, "--seed", "5", file=file, JEPA_BRIDGE_SEED="4", JEPA_BRIDGE_MODEL="b")
    assert found["seed"] == {"value": 5, "from": "flag"}
    assert found["model"] == {"value": "b", "from": "environment"}
    assert found["radius"] == {"value": 0.5, "from": "file"}
    assert found["time-limit"] == {"value": 9.0, "from": "file"}
    assert found["baud"] == {"value": 115200, "from": "default"}
    assert found["port"] == {"value": None, "from": "default"}


@pytest.mark.parametrize("goals", ['["4,4", "1,1,90"]', "[[4, 4], [1, 1, 90]]"])
def test_goals_and_poses_as_people_write_them(call, goals):
    found = shown(call, file=f'goal = {goals}\nstart = [1, 2, -90]\nlog = "there"\nonce = true')
    assert found["goal"]["value"] == ["4,4", "1,1,90"]
    assert found["start"]["value"] == "1,2,-90"
    assert found["log"]["value"] == "there"
    assert found["once"] == {"value": True, "from": "file"}


@pytest.mark.parametrize("goal", ['"4,4"', "[4, 4]"])
def test_one_goal_alone(call, goal):
    assert shown(call, file=f"goal = {goal}")["goal"]["value"] == ["4,4"]


@pytest.mark.parametrize(
    ("file", "code", "says"),
    [
        ("tiem-limit = 3", "config-unknown-key", "did you mean 'time-limit'?"),
        ("modle = 'x'", "config-unknown-key", "did you mean 'model'?"),
        ("zzz = 1", "config-unknown-key", "the settings are: baud, cost"),
        ("config = 'x'", "config-unknown-key", "no setting"),
        ("[drive]\nseed = 1", "config-unknown-key", "'drive'"),
        ("seed = \n", "config-syntax", "line 1"),
        ("seed = true", "config-value", "seed"),
        ("once = 1", "config-value", "true or false"),
        ('seed = "many"', "config-value", "seed"),
        ("radius = 9.0", "config-value", "radius"),
        ('goal = "here"', "config-value", "goal"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(call, file, code, says):
    for arguments in (("config", "show"), ("--port", "sim://open")):
        with pytest.raises(BridgeError) as caught:
            call(*arguments, file=file)
        error = caught.value
        assert (error.code, error.status) == (code, Exit.USAGE)
        assert says in f"{error.message} {error.hint}"
        assert "config.toml" in error.message


def test_a_wrong_file_keeps_no_other_verb_from_its_work(call):
    assert "config.toml" in call("config", "path", file="zzz = 1")
    assert "Usage" in call("--help")


def test_a_file_that_was_named_must_be_there(call, tmp_path):
    with pytest.raises(BridgeError) as caught:
        call("--config", str(tmp_path / "none.toml"), "config", "show")
    assert caught.value.code == "config-unreadable"


def test_init_writes_all_settings_commented_out_and_each_can_be_uncommented(call, tmp_path):
    path = call("config", "init").strip()
    text = (tmp_path / "jepa-bridge" / "config.toml").read_text()
    assert path.endswith("config.toml")
    assert all(one["from"] == "default" for one in shown(call).values())
    names = [name for name, _ in settings(cli)]
    for name in names:
        line = next(line for line in text.splitlines() if line.startswith(f"#{name} = "))
        assert environment_name(name) in text
        assert shown(call, file=line[1:])[name]["from"] == "file"
    with pytest.raises(BridgeError) as caught:
        call("config", "init")
    assert caught.value.code == "config-exists"
    call("config", "init", "--force")


def test_every_option_of_driving_is_a_setting_with_its_environment_variable():
    options = dict(settings(cli))
    assert {"port", "robot", "goal", "model", "log", "json", "reconnect"} <= set(options)
    for name, option in options.items():
        assert option.envvar == environment_name(name) == "JEPA_BRIDGE_" + name.upper().replace("-", "_")
    assert {option_name(p) for p in cli.params} - set(options) == {"config", "version"}


def test_a_port_and_a_robot_are_not_both_named(call):
    with pytest.raises(click.UsageError):
        call("--port", "x", "--robot", "01020304")
