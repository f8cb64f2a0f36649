"""The bad line itself: what each fault does to bytes and frames, the same for the same seed."""

from __future__ import annotations

import pytest

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link.chaos import Faults, Mangler, Span, Way, parse_chaos

FRAMES = [bytes([1 + i % 200]) * (10 + i % 30) for i in range(400)]
STREAM = b"".join(b"\0" + frame + b"\0" for frame in FRAMES)


def through(faults: Faults, way: Way = Way.ROBOT) -> tuple[bytes, Mangler]:
    mangler = Mangler(faults, way)
    return b"".join(mangler.feed(STREAM[at : at + 97]) for at in range(0, len(STREAM), 97)), mangler


def frames_of(stream: bytes) -> list[bytes]:
    return [frame for frame in stream.split(b"\0") if frame]


def test_the_grammar_puts_faults_before_any_other_port():
    faults, port = parse_chaos("chaos://flip=1e-4&cut=5:2,9:0.5&toward=robot&seed=3@sim://open?seed=1&start=1,1,0")
    assert port == "sim://open?seed=1&start=1,1,0"
    assert faults == Faults(flip=1e-4, cut=(Span(5, 2), Span(9, 0.5)), toward="robot", seed=3)
    assert parse_chaos("chaos://@/dev/ttyUSB0") == (Faults(), "/dev/ttyUSB0")


@pytest.mark.parametrize(
    "url",
    [
        "chaos:///dev/ttyUSB0",
        "chaos://flip=2@x",
        "chaos://flip=@x",
        "chaos://flop=1@x",
        "chaos://flip=1e-3@",
        "chaos://stall=3@x",
        "chaos://cut=1:-1@x",
        "chaos://toward=me@x",
        "chaos://delay=nan@x",
        "chaos://seed=a@x",
    ],
)
def test_what_is_no_bad_line_is_refused(url):
    with pytest.raises(BridgeError) as error:
        parse_chaos(url)
    assert (error.value.code, error.value.status) == ("chaos-url", Exit.USAGE)


def test_a_sound_line_changes_nothing():
    out, mangler = through(Faults())
    assert out == STREAM
    assert mangler.done.bytes_in == mangler.done.bytes_out == len(STREAM)


def test_equal_seeds_give_equal_lines_and_other_seeds_others():
    faults = Faults(flip=0.01, drop=0.01, insert=0.01, duplicate=0.1, reorder=0.1, truncate=0.1, seed=3)
    assert through(faults)[0] == through(faults)[0]
    assert through(faults)[0] != through(faults, Way.HOST)[0]
    assert through(faults)[0] != through(Faults(flip=0.01, drop=0.01, insert=0.01, seed=4))[0]


def test_bytes_are_turned_lost_and_added_as_often_as_asked():
    flipped, mangler = through(Faults(flip=0.05))
    turned = [(a ^ b).bit_count() for a, b in zip(flipped, STREAM, strict=True)]
    assert max(turned) == 1
    assert sum(turned) == mangler.done.flipped == pytest.approx(0.05 * len(STREAM), rel=0.2)
    dropped, mangler = through(Faults(drop=0.05))
    assert len(STREAM) - len(dropped) == mangler.done.dropped == pytest.approx(0.05 * len(STREAM), rel=0.2)
    inserted, mangler = through(Faults(insert=0.05))
    assert len(inserted) - len(STREAM) == mangler.done.inserted == pytest.approx(0.05 * len(STREAM), rel=0.2)


def test_frames_come_twice_later_or_short_and_otherwise_whole():
    twice = frames_of(through(Faults(duplicate=0.2))[0])
    assert len(twice) > 1.1 * len(FRAMES)
    assert [f for i, f in enumerate(twice) if i == 0 or f != twice[i - 1]] == FRAMES
    later, mangler = through(Faults(reorder=0.2))
    assert frames_of(later) != FRAMES
    missing = set(FRAMES) - set(frames_of(later))
    assert not missing
    assert mangler.done.reordered > 40
    short, mangler = through(Faults(truncate=0.2))
    assert sum(a in FRAMES for a in frames_of(short)) < len(FRAMES)
    assert all(any(whole.startswith(frame) for whole in FRAMES) for frame in frames_of(short))


def test_faults_lie_the_way_they_are_asked_to():
    assert through(Faults(flip=0.5, toward="host"))[0] == STREAM
    assert through(Faults(flip=0.5, toward="host"), Way.HOST)[0] != STREAM


@pytest.mark.parametrize(("fault", "longer"), [("drop", -1), ("insert", 1), ("flip", 0)])
def test_one_fault_happens_once(fault, longer):
    mangler = Mangler(Faults(), Way.ROBOT)
    mangler.once(fault)
    first = mangler.feed(b"abcdef")
    assert first != b"abcdef"
    assert len(first) == 6 + longer
    assert mangler.feed(b"abcdef") == b"abcdef"


def test_noise_has_no_zero_and_long_runs_without_one_are_not_held():
    mangler = Mangler(Faults(truncate=0.1), Way.ROBOT)
    assert 0 not in mangler.noise()
    out = b"".join(mangler.feed(mangler.noise()) for _ in range(100))
    assert len(out) > 49_000
