import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.world.bundle import World, load_named, read_card, resolve
from jepa_bridge.world.card import MODEL_FILES, Card


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "copy")


def refused(path, code):
    with pytest.raises(BridgeError) as caught:
        World.load(path)
    assert caught.value.code == code
    assert caught.value.status == Exit.MODEL
    assert caught.value.hint
    return caught.value


def change_card(path, **values):
    card = json.loads((path / "card.json").read_text())
    (path / "card.json").write_text(json.dumps({**card, **values}))


def test_shapes_and_names_are_the_contracts(bundle):
    world = World.load(bundle)
    embeddings = world.encode(np.zeros((3, 11), np.float32))
    assert embeddings.shape == (3, 64) == (3, world.embedding_dim)
    after, confidence = world.predict(embeddings, np.zeros((3, 2), np.float32))
    assert after.shape == (3, 64)
    assert confidence.shape == (3, 1)
    assert ((confidence >= 0) & (confidence <= 1)).all()
    assert world.readout(after).shape == (3, 12)


def test_the_files_are_whole_and_readable_by_the_web_runtime(bundle):
    import onnx

    for name in MODEL_FILES:
        model = onnx.load(bundle / name, load_external_data=False)
        onnx.checker.check_model(model)
        assert all(entry.domain in ("", "ai.onnx") and entry.version == 17 for entry in model.opset_import)
        assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)


def test_the_pose_survives_encoding_and_readout(bundle):
    world = World.load(bundle)
    vector = np.array([[0.5] * 8 + [0.3, 0.7, 0.125]], np.float32)
    seen = world.readout(world.encode(vector))[0, 8:]
    assert seen.tolist() == pytest.approx([0.3, 0.7, 0.7071068, 0.7071068], abs=1e-5)


def test_the_heading_does_not_jump_at_north(bundle):
    world = World.load(bundle)
    below, above = (np.array([[0.5] * 8 + [0.5, 0.5, turn]], np.float32) for turn in (0.999999, 0.0))
    assert np.abs(world.encode(below) - world.encode(above)).max() < 1e-5


def test_a_pose_only_goal_is_equally_far_whatever_is_around_or_ahead(bundle):
    world = World.load(bundle)
    goal = world.encode(np.array([[-1.0] * 8 + [0.5, 0.5, -1.0]], np.float32))
    rng = np.random.default_rng(0)
    here = rng.random((20, 11), np.float32)
    here[:, 8:10] = 0.5, 0.6
    distance = np.linalg.norm(world.encode(here) - goal, axis=1)
    assert np.ptp(distance) < 1e-3
    assert distance.mean() == pytest.approx(np.sqrt(0.5**2 + 0.1**2 + 0.2**2), abs=1e-2)


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_changed_byte_is_refused(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    assert name in refused(copy, "model-corrupt").message


def test_a_file_cut_short_is_refused(copy):
    (copy / "encoder.onnx").write_bytes((copy / "encoder.onnx").read_bytes()[:-100])
    refused(copy, "model-corrupt")


@pytest.mark.parametrize("name", [*MODEL_FILES, "card.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    assert name in refused(copy, "model-missing").message


def test_another_format_is_refused_and_told(copy):
    change_card(copy, format_version=99)
    message = refused(copy, "model-incompatible").message
    assert "expected a bundle of format version 1, got 99" in message


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 1}', '{"format_version": 1, "files": 3}'])
def test_a_broken_card_is_refused(copy, text):
    (copy / "card.json").write_text(text)
    refused(copy, "model-corrupt")


def test_a_card_of_binary_rubbish_is_refused(copy):
    (copy / "card.json").write_bytes(b"\xff\xfe\x00")
    refused(copy, "model-corrupt")


def test_a_card_without_a_hash_is_refused(copy):
    files = dict(read_card(copy).files)
    del files["readout.onnx"]
    change_card(copy, files=files)
    refused(copy, "model-corrupt")


def test_shapes_other_than_the_cards_are_refused(copy):
    change_card(copy, embedding_dim=128)
    message = refused(copy, "model-incompatible").message
    assert "expected output embedding [B, 128], got embedding" in message


def test_the_hash_is_the_models_and_not_the_descriptions(bundle):
    card = read_card(bundle)
    assert dataclasses.replace(card, metrics={"reached": 1.0}).hash == card.hash
    other = {**card.files, "encoder.onnx": "0" * 64}
    assert dataclasses.replace(card, files=other).hash != card.hash


def test_a_card_survives_json_and_unknown_keys(bundle):
    card = read_card(bundle)
    assert Card.from_json(card.to_json()) == card
    assert Card.from_json(json.dumps({**json.loads(card.to_json()), "later": 1})) == card


def test_the_small_model_is_shipped():
    world = load_named("small")
    assert world.card.tier == "small"
    assert world.embedding_dim == 128
    assert sum((world.path / name).stat().st_size for name in MODEL_FILES) < 1_000_000


def test_a_name_nobody_ships_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BridgeError, match="no model bundle"):
        load_named("enormous")
    (tmp_path / "mine").mkdir()
    assert resolve("mine").resolve() == tmp_path / "mine"


def test_importing_loads_neither_onnxruntime_nor_torch():
    code = (
        "import sys, jepa_bridge.world.bundle, jepa_bridge.plan.mppi;"
        "print([m for m in ('onnxruntime', 'torch', 'mujoco') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="host")
    assert done.stdout.strip() == "[]"
