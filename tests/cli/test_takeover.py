"""A running bridge is told to go on with another bundle."""

from __future__ import annotations

import json
import shutil
import signal
import time

import pytest
from program import run, start

from jepa_bridge.errors import Exit
from jepa_bridge.record import read_log
from jepa_bridge.resources import shipped
from jepa_bridge.world.bundle import World, read_card


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A bundle of another hash that drives: the shipped one, its graph saved anew."""
    import onnx

    from jepa_bridge.world.card import CARD, file_hash

    folder = tmp_path_factory.mktemp("other") / "bundle"
    shutil.copytree(shipped("models") / "small", folder)
    graph = onnx.load(str(folder / "readout.onnx"))
    graph.doc_string = "saved anew"
    onnx.save(graph, str(folder / "readout.onnx"))
    card = json.loads((folder / CARD).read_text())
    card["files"]["readout.onnx"] = file_hash(folder / "readout.onnx")
    (folder / CARD).write_text(json.dumps(card))
    return folder


def drive_with_a_signal(next_model, folder):
    """Finished drive of about eight seconds, told to take over `next_model` in the middle; its summary and log."""
    process = start(
        "--port", "sim://open?seed=1", "--goal", "4,4", "--goal", "1,1", "--json", "--time-limit", "8",
        "--next-model", str(next_model), "--log", str(folder),
    )  # fmt: skip
    for _ in range(200):
        time.sleep(0.1)
        if any(folder.glob("*.mcap")):
            break
    time.sleep(4.0)
    process.send_signal(signal.SIGUSR1)
    out, err = process.communicate(timeout=40)
    assert process.returncode == Exit.OK, out + err
    (log,) = folder.glob("*.mcap")
    return json.loads(out), log


def told(log):
    return [json.loads(record.data) for record in read_log(log).records(("model",))]


def replayed(log):
    ran = run("replay", "--check", "--json", str(log))
    return ran.returncode, json.loads(ran.stdout)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
def test_another_bundle_takes_over_between_two_plans_and_the_log_replays(other, tmp_path):
    summary, log = drive_with_a_signal(other, tmp_path)
    (takeover,) = told(log)
    assert takeover["model_hash"] == summary["model"] == World.load(other).hash
    assert takeover["model_hash"] != read_card(shipped("models") / "small").hash
    plans = [record.channel for record in read_log(log).records(("model", "plan"))]
    assert 3 < plans.index("model") < len(plans) - 3  # planned on before and after
    status, report = replayed(log)
    assert (status, report["same"], report["plans_different"]) == (Exit.OK, True, 0)

    shutil.copytree(other, tmp_path / "kept")
    (other / "readout.onnx").write_bytes(b"changed since")
    try:
        status, report = replayed(log)
    finally:
        shutil.copy(tmp_path / "kept" / "readout.onnx", other / "readout.onnx")
    assert status == Exit.CHECK_FAILED
    assert "took over" in report["missing"][0]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
def test_a_corrupt_bundle_is_kept_out_and_said_once(other, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(other, broken)
    (broken / "predictor.onnx").write_bytes(b"no graph")
    summary, log = drive_with_a_signal(broken, tmp_path / "logs")
    (refused,) = told(log)
    assert refused["model_hash"] is None
    assert "SHA-256" in refused["refused"]
    assert summary["model"] == read_card(shipped("models") / "small").hash
    assert summary["plans"] > 20
    assert replayed(log)[0] == Exit.OK
