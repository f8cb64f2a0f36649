"""Fuzz the host's decoder: guided by coverage with atheris where it is installed, by a mutation loop of ours elsewhere.

    python tests/fuzz/fuzz_decoder.py CORPUS_FOLDER --runs 200000 --seed 1 [--plain]

The judge is fuzz_strict.py, a second decoder; for what hosts send, the firmware's codec in this process is a third.
Inputs start with a byte that says how to read the rest: 0 bytes on the line, 1 a body, 2 a body to be framed rightly.
No fuzzer gets past a CRC by chance, and behind it is where the decoder has to be right.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from array import array
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (HERE, ROOT / "host", ROOT / "firmware", ROOT / "firmware" / "cpython"):
    sys.path.insert(0, str(folder))

RUN_BYTES_MAX = 512


def imported(plain: bool) -> Any:
    """The atheris module with the decoders instrumented, or None."""
    atheris: Any = None
    if not plain:
        try:
            import atheris  # type: ignore[no-redef]
        except ImportError:
            atheris = None
    if atheris is None:
        import fuzz_strict
        import micropython

        return None
    import micropython  # noqa: F401

    names = ["jepa_bridge.link.frame", "jepa_bridge.link.codec", "fuzz_strict", "codec", "frame", "cobs", "crc32"]
    with atheris.instrument_imports(include=names):
        import codec  # noqa: F401
        import frame  # noqa: F401
        import fuzz_strict  # noqa: F401

        import jepa_bridge.link.codec  # noqa: F401
    return atheris


class Disagreement(Exception):  # noqa: N818
    """Two decoders read the same bytes differently, or one of them broke."""


def _flat(message: Any) -> list[Any]:
    from jepa_bridge.link.schema import FIELDS

    items: list[Any] = [message.TYPE]
    for field in FIELDS[message.TYPE]:
        value = getattr(message, field.name)
        items += value if field.count > 1 else [value]
    return items


def check_body(body: bytes) -> list[Any] | None:
    """What all decoders make of a body; None if they refuse it. Raises Disagreement."""
    import codec as firmware
    from fuzz_strict import NotStrictError, strict_items

    from jepa_bridge.link.codec import decode, encode
    from jepa_bridge.link.frame import FrameError

    try:
        expected = strict_items(body)
    except NotStrictError:
        expected = None
    try:
        message = decode(body)
    except FrameError:
        found = None
    else:
        found = _flat(message)
        if encode(message) != body:
            raise Disagreement(f"written differently: {body.hex()}")
    if found != expected:
        raise Disagreement(f"host {found}, judge {expected}: {body.hex()}")
    if 1 <= len(body) <= 123:
        taken = array("i", [0] * firmware.ITEMS_MAX)
        type_ = firmware.decode(bytearray(b"\xb1" + body + bytes(128 - len(body))), 1 + len(body), taken)
        of_firmware = list(taken[: len(expected)]) if type_ > 0 and expected else None
        from_host = expected if expected and expected[0] >= 16 else None
        if of_firmware != from_host or (type_ > 0) != (from_host is not None):
            raise Disagreement(f"firmware {type_} {of_firmware}, judge {expected}: {body.hex()}")
    return found


def check_line(data: bytes) -> int:
    """Bytes as they may come over the line, in pieces; how many messages the host found. Raises Disagreement."""
    from jepa_bridge.link.codec import body_of_payload
    from jepa_bridge.link.frame import FrameError, FrameReader

    whole, split = FrameReader(), FrameReader()
    payloads = whole.feed(data)
    step = 1 + len(data) % 7
    in_pieces = [p for at in range(0, len(data), step) for p in split.feed(data[at : at + step])]
    if payloads != in_pieces or whole.frames_bad != split.frames_bad or whole.text != split.text:
        raise Disagreement(f"pieces matter: {data.hex()}")
    found = 0
    for payload in payloads:
        try:
            body = body_of_payload(payload)
        except FrameError:
            continue
        found += check_body(body) is not None
    return found


def check(data: bytes) -> None:
    """One input of the fuzzer."""
    from jepa_bridge.link.codec import frame_of_body
    from jepa_bridge.link.frame import FrameError

    if not data:
        return
    mode, rest = data[0] % 3, data[1 : 1 + RUN_BYTES_MAX]
    if mode == 0:
        check_line(rest)
    elif mode == 1:
        check_body(rest)
    else:
        expected = check_body(rest)
        try:
            line = frame_of_body(rest)
        except FrameError:
            return
        if check_line(line) != (expected is not None):
            raise Disagreement(f"framing matters: {rest.hex()}")


def seeds() -> list[bytes]:
    """The wire's vectors: valid and invalid frames as lines, and their bodies."""
    found = []
    for name in ("valid", "invalid"):
        for vector in json.loads((ROOT / "protocol" / "vectors" / f"{name}.json").read_text())["frames"]:
            line = bytes.fromhex(vector["frame"])
            found.append(b"\0" + line)
            if "body" in vector:
                found.append(b"\1" + bytes.fromhex(vector["body"]))
                found.append(b"\2" + bytes.fromhex(vector["body"]))
    return found


def mutated(draw: random.Random, corpus: list[bytes]) -> bytes:
    """A corpus entry with one to four small faults, spliced with another one at times."""
    data = bytearray(draw.choice(corpus))
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        how = draw.randrange(7)
        if how == 0:
            data[at:at] = bytes([draw.getrandbits(8)])
        elif how == 1:
            del data[at : at + draw.randint(1, 4)]
        elif how == 2 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif how == 3 and at < len(data):
            data[at] = draw.choice(b"\x00\x17\x18\x19\x1a\x1b\x20\x37\x38\x5f\x7f\x80\x97\x98\x9f\xf6\xf7\xff")
        elif how == 4 and at < len(data):
            data[at] = (data[at] + draw.choice((-1, 1))) % 256
        elif how == 5:
            other = draw.choice(corpus)
            data[at:] = other[draw.randrange(len(other)) :]
        else:
            data[at:at] = data[draw.randrange(len(data) + 1) :][: draw.randint(1, 12)]
    return bytes(data)


def plain_loop(runs: int, seed: int) -> int:
    """Seeds as they are, then mutants of them."""
    draw = random.Random(seed)
    corpus = seeds()
    for data in corpus:
        check(data)
    started = said = time.monotonic()
    for done in range(1, runs + 1):
        data = mutated(draw, corpus)
        try:
            check(data)
        except Exception:
            print("input:", data.hex())
            raise
        now = time.monotonic()
        if now - said > 10:
            said = now
            print(f"{done} of {runs} runs, {(now - started) / done * (runs - done):.0f} s to go", flush=True)
    print(f"{runs} runs of the mutation loop, no disagreement, {time.monotonic() - started:.0f} s")
    return 0


def main() -> int:
    """Fuzz, and end with a status other than 0 at the first disagreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a folder for atheris to keep its finds in")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="the mutation loop, even if atheris is installed")
    options = parser.parse_args()
    atheris = imported(options.plain)
    if atheris is None:
        return plain_loop(options.runs, options.seed)
    options.corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (options.corpus / f"seed-{number:04}").write_bytes(data)
    flags = [f"-runs={options.runs}", f"-seed={options.seed}", f"-max_len={RUN_BYTES_MAX}", "-rss_limit_mb=1024"]
    flags += ["-timeout=5", "-print_final_stats=1", f"-artifact_prefix={options.corpus}/"]
    atheris.Setup([sys.argv[0], *flags, str(options.corpus)], check)
    atheris.Fuzz()
    return 0  # never: libFuzzer ends the process itself


if __name__ == "__main__":
    sys.exit(main())
