"""Host and firmware encode the same messages: byte for byte, and each reads what the other wrote."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz_frames import FIRMWARE, HERE, micropython
from fuzz_messages import messages

from jepa_bridge.link.codec import decode_payload, frame_of
from jepa_bridge.link.frame import FrameReader
from jepa_bridge.link.schema import FIELDS, Message

BATCH = 10_000


def record(message: Message) -> bytes:
    """A message and the host's frame of it, in the form that inside/agree.py reads."""
    frame = frame_of(message)
    parts = [bytes([len(frame)]), frame, b""]
    count = 1
    parts.append(b"i" + message.TYPE.to_bytes(4, "little"))
    for field in FIELDS[message.TYPE]:
        value = getattr(message, field.name)
        for one in value if field.count > 1 else [value]:
            count += 1
            if one is None:
                parts.append(b"n")
            elif field.kind == "int":
                parts.append(b"i" + int(one).to_bytes(4, "little", signed=True))
            else:
                data = one if field.kind == "bytes" else one.encode()
                parts.append((b"b" if field.kind == "bytes" else b"t") + bytes([len(data)]) + data)
    parts[2] = bytes([count])
    return b"".join(parts)


def differences(records: bytes, interpreter: str) -> tuple[int, int, str]:
    """(messages, of them agreed, what the firmware said) of one batch."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "messages"
        given.write_bytes(records)
        options = ["-X", "heapsize=64M"] if "micropython" in interpreter else ["-B"]
        command = [interpreter, *options, HERE / "inside" / "agree.py", FIRMWARE, given]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    words = done.stdout.split()
    return int(words[-4]), int(words[-2]), done.stdout


def agree(count: int, interpreters: list[str], first_seed: int = 0, quiet: bool = False) -> dict[str, int]:
    """Generate so many messages; how many each interpreter's firmware agreed on. The host reads its own back, too."""
    agreed = dict.fromkeys(interpreters, 0)
    done, started = 0, time.monotonic()
    said = started
    while done < count:
        batch = list(messages(first_seed + done // BATCH, min(BATCH, count - done)))
        for message in batch:
            (payload,) = FrameReader().feed(frame_of(message))
            assert decode_payload(payload) == message, message
        records = b"".join(map(record, batch))
        for interpreter in interpreters:
            read, right, said_text = differences(records, interpreter)
            assert read == len(batch)
            agreed[interpreter] += right
            if right != read:
                print(said_text[:2000])
        done += len(batch)
        now = time.monotonic()
        if not quiet and now - said > 10:
            said = now
            print(f"{done} of {count} messages, {(now - started) / done * (count - done):.0f} s to go", flush=True)
    return agreed


def interpreters() -> dict[str, str]:
    """Name -> program of what can run the firmware here."""
    found = {"cpython": sys.executable}
    if program := micropython():
        found["micropython"] = program
    return found
