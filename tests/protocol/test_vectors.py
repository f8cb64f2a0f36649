"""The host's codec and the CDDL itself against protocol/vectors/, which an independent program wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pycddl
import pytest

from jepa_bridge.link.codec import decode, decode_payload, encode, frame_of
from jepa_bridge.link.frame import REASONS, FrameError, FrameReader
from jepa_bridge.link.schema import FIELDS, MESSAGES, SCHEMA_HASH

# pycddl 0.6.4 checks a range against numbers and lets byte strings and arrays through, and `tstr .size` lets integers
UNSEEN_BY_PYCDDL = ("is byte string", "is array", "text is integer")
PROTOCOL = Path(__file__).resolve().parents[2] / "protocol"


def vectors(name: str) -> list[dict[str, Any]]:
    document = json.loads((PROTOCOL / "vectors" / name).read_text())
    assert document["schema_hash"] == SCHEMA_HASH.hex()
    frames: list[dict[str, Any]] = document["frames"]
    return frames


VALID = vectors("valid.json")
INVALID = vectors("invalid.json")


@pytest.fixture(scope="module")
def cddl() -> pycddl.Schema:
    return pycddl.Schema((PROTOCOL / "bridge.cddl").read_text())


def refusal(frame: bytes) -> str:
    """Why the host refuses the frame; "" if it takes it."""
    reasons: list[str] = []
    payloads = FrameReader(lambda _chunk, reason: reasons.append(reason)).feed(frame)
    for payload in payloads:
        try:
            decode_payload(payload)
        except FrameError as error:
            reasons.append(error.reason)
    assert len(reasons) + len(payloads) >= 1
    return reasons[-1] if reasons else ""


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["name"])
def test_valid_frames_are_accepted_with_their_values_and_written_the_same(vector: dict[str, Any]) -> None:
    (payload,) = FrameReader().feed(bytes.fromhex(vector["frame"]))
    message = decode_payload(payload)
    assert type(message).__name__.lower() == vector["message"].replace("_", "")
    values = [(field.name, getattr(message, field.name)) for field in FIELDS[message.TYPE]]
    assert vector["values"] == [
        [name, value.hex() if isinstance(value, bytes) else list(value) if isinstance(value, tuple) else value]
        for name, value in values
    ]
    assert encode(message).hex() == vector["body"]
    assert frame_of(message).hex() == vector["frame"]
    assert decode(bytes.fromhex(vector["body"])) == message


@pytest.mark.parametrize("vector", INVALID, ids=lambda vector: vector["name"])
def test_invalid_frames_are_refused_for_the_stated_reason(vector: dict[str, Any]) -> None:
    assert refusal(bytes.fromhex(vector["frame"])) == vector["reason"], vector["why"]


def test_cddl_accepts_every_valid_body(cddl: pycddl.Schema) -> None:
    for vector in VALID:
        cddl.validate_cbor(bytes.fromhex(vector["body"]))


def test_cddl_refuses_what_it_can_see(cddl: pycddl.Schema) -> None:
    accepted = []
    seen = [vector for vector in INVALID if vector["cddl"] and not vector["name"].endswith(UNSEEN_BY_PYCDDL)]
    for vector in seen:
        (payload,) = FrameReader().feed(bytes.fromhex(vector["frame"]))
        try:
            cddl.validate_cbor(payload[1:-4])
        except pycddl.ValidationError:
            continue
        accepted.append(vector["name"])
    assert accepted == []
    assert len(seen) > 300


def test_every_message_field_and_reason_has_vectors() -> None:
    names = {vector["name"] for vector in INVALID}
    for number, fields in FIELDS.items():
        message = MESSAGES[number].__name__
        rule = next(vector["message"] for vector in VALID if vector["message"].replace("_", "") == message.lower())
        for case in ("low", "high", "ordinary"):
            assert any(vector["name"] == f"{rule}: {case}" for vector in VALID)
        for field in fields:
            label = f"{field.name}[0]" if field.count > 1 else field.name
            for how in ("too low", "too high") if field.kind == "int" else ("too long",):
                assert f"{rule}: {label} {how}" in names
    assert {vector["reason"] for vector in INVALID} == set(REASONS)


@pytest.mark.parametrize("program", ["generate.py", "vectors/generate.py"])
def test_generated_files_are_up_to_date(program: str) -> None:
    done = subprocess.run(
        [sys.executable, PROTOCOL / program, "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
