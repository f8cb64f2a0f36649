"""`jepa-bridge retrain` as its user runs it, on very little data."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from program import error_of, run

from jepa_bridge.errors import Exit


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A bundle that was hardly trained, and the shards that it was trained on."""
    folder = tmp_path_factory.mktemp("base")
    for command in (
        ("collect", "--arena", "open", "--episodes", "6", "--steps", "40", "--out", str(folder / "open")),
        ("train", str(folder / "open"), "--steps", "2", "--tier", "tiny", "--out", str(folder / "run")),
        ("export", str(folder / "run"), "--out", str(folder / "bundle")),
    ):
        ran = run(*command, "--json")
        assert ran.returncode == Exit.OK, ran.stdout + ran.stderr
    return folder


def test_a_place_is_lived_in_learned_and_published(base, tmp_path):
    out = tmp_path / "new"
    ran = run(
        "retrain", "--live", "doorway", "--live-episodes", "4", "--map-seed", "7", "--place", "--across",
        "--base", str(base / "bundle"), "--mix", str(base / "open"), "--steps", "2", "--episodes", "1",
        "--out", str(out), "--force", "--json",
    )  # fmt: skip
    assert ran.returncode == Exit.OK, ran.stdout + ran.stderr
    told = json.loads(ran.stdout)
    assert told["settings"]["map_seed"] == 7
    card = json.loads((out / "card.json").read_text())
    assert "waytogo.onnx" in card["files"]
    assert card["data"]["arena_seeds"] == {"doorway": [7]}
    assert card["commands"][0].startswith("jepa-bridge retrain --live doorway")


@pytest.mark.parametrize("force", [False, True])
def test_a_worse_bundle_takes_no_place_unless_forced(base, tmp_path, monkeypatch, force):
    from jepa_bridge.cli.retrain import command
    from jepa_bridge.learn.retrain import Outcome

    both = {"base": {"reached": 1.0}, "candidate": {"reached": 0.0}}
    facts = {"closed_loop": both, "prediction_held_out": both}
    monkeypatch.setattr(
        "jepa_bridge.learn.retrain.retrain", lambda *_, **__: Outcome(base / "bundle", ("it sees no goal",), facts)
    )
    out = tmp_path / "new"
    options = [str(base / "open"), "--base", str(base / "bundle"), "--out", str(out)]
    ran = CliRunner().invoke(command, options + ["--force"] * force)
    assert (out / "card.json").exists() is force
    if not force:
        assert (ran.exception.code, ran.exception.status) == ("retrain-worse", Exit.MODEL_WORSE)


def test_nothing_to_retrain_on_is_said(tmp_path):
    ran = run("retrain", "--out", str(tmp_path / "new"), "--json")
    assert ran.returncode == Exit.USAGE
    ran = run("retrain", str(tmp_path), "--out", str(tmp_path / "new"), "--json")
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.USAGE, "data-missing")
