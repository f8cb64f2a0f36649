"""collect, train, export, eval as their user runs them, on very little data; then drive the result."""

from __future__ import annotations

import json

import pytest
from program import error_of, run

from jepa_bridge.errors import Exit
from jepa_bridge.learn.heldout import trained_arena_seeds
from jepa_bridge.world.bundle import read_card


def ran_json(*arguments: str) -> dict[str, object]:
    ran = run(*arguments, "--json")
    assert ran.returncode == Exit.OK, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A bundle out of two arenas' shards and a recording of the twin."""
    folder = tmp_path_factory.mktemp("chain")
    for arena in ("open", "cluttered"):
        ran_json("collect", "--arena", arena, "--episodes", "4", "--steps", "20", "--out", str(folder / arena))
    port, logs = "sim://open?seed=5&speed=3", str(folder / "logs")
    ran = run("--port", port, "--goal", "4,4", "--once", "--quiet", "--log", logs)
    assert ran.returncode == Exit.OK, ran.stderr
    sources = [str(folder / name) for name in ("open", "cluttered", "logs")]
    trained = ran_json("train", *sources, "--steps", "3", "--tier", "tiny", "--out", str(folder / "run"))
    exported = ran_json("export", str(folder / "run"), "--out", str(folder / "bundle"))
    return folder, trained, exported


def test_shards_and_recordings_are_trained_on_together(chain):
    folder, trained, _ = chain
    assert len(list((folder / "run" / "from-logs").glob("*.npz"))) == 1
    assert trained["shards"] == 3


def test_the_export_is_a_bundle_that_loads_and_drives(chain, tmp_path):
    folder, _, exported = chain
    assert exported["tier"] == "tiny"
    report = ran_json("eval", "--model", str(folder / "bundle"), "--episodes", "2", "--workers", "1")
    assert set(report) == {"arena", "episodes", "seed", "rows"}
    planners = [row["planner"] for row in report["rows"]]
    assert planners == ["model", "model_no_gate", "contract_cost", "random", "straight", "oracle"]
    ran = run(
        "--port", "sim://open?speed=3", "--goal", "4,4", "--time-limit", "3", "--json",
        "--model", str(folder / "bundle"), "--log", str(tmp_path),
    )  # fmt: skip
    assert ran.returncode == Exit.OK, ran.stderr
    assert json.loads(ran.stdout)["plans"] > 3


def test_eval_refuses_the_maps_of_the_training_data(chain):
    folder, _, _ = chain
    bundle = folder / "bundle"
    arguments = ("eval", "--model", str(bundle), "--episodes", "1", "--only", "random", "--arena-seed")
    lived = min(trained_arena_seeds(read_card(bundle), "open"))
    ran = run(*arguments, str(lived), "--json")
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.USAGE, "not-held-out")
    known = run(*arguments, str(lived), "--known-map")
    assert known.returncode == Exit.OK, known.stderr
    assert "random" in known.stdout
    unknown = run("eval", "--only", "clairvoyant")
    assert (unknown.returncode, "clairvoyant" in unknown.stderr) == (Exit.USAGE, True)


def test_an_interrupted_collection_goes_on_where_it_was(chain):
    folder, _, _ = chain
    before = {path: path.stat().st_mtime_ns for path in (folder / "open").glob("*.npz")}
    ran_json("collect", "--arena", "open", "--episodes", "4", "--steps", "20", "--out", str(folder / "open"))
    assert {path: path.stat().st_mtime_ns for path in (folder / "open").glob("*.npz")} == before


def test_a_log_is_shown_and_exported(chain, tmp_path):
    folder, _, _ = chain
    (log,) = (folder / "logs").glob("*.mcap")
    info = ran_json("log", "info", str(log))
    assert (info["board"], info["goals_reached"], info["torn"]) == ("sim", 1, False)
    assert ran_json("log", "export", str(log), "--out", str(tmp_path / "shard.npz"))["episodes"] >= 1
    recovered = ran_json("log", "recover", str(log), "--out", str(tmp_path / "copy.mcap"))
    assert recovered["messages"] == sum(info["counts"].values())


def test_nothing_to_train_on_is_said(tmp_path):
    ran = run("train", str(tmp_path), "--out", str(tmp_path / "run"), "--json")
    assert (ran.returncode, error_of(ran)["code"]) == (Exit.USAGE, "data-missing")
