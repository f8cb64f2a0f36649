"""What several tests of the log need: bodies for the wire, a log with many chunks, a reader that is not ours."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from mcap.reader import make_reader

from jepa_bridge.link.codec import encode
from jepa_bridge.link.schema import Cmd, Hello, ResetCause, Sensor
from jepa_bridge.record import Recorder

REPOSITORY = Path(__file__).resolve().parents[2]
CDDL = (REPOSITORY / "protocol" / "bridge.cddl").read_text()


def no_problem(what: str) -> None:
    raise AssertionError(what)


def sensor(seq: int, t_us: int, *, session: int = 7, x_mm: int = 0, flags: int = 0) -> Sensor:
    return Sensor(
        seq=seq % 65536, session=session, t_us=t_us % 2**30,
        ranges_mm=(100, 200, None, 400, 500, 600, 700, 800), range_ages_ms=(0,) * 8,
        x_mm=x_mm, y_mm=2500, heading_mrad=1571, left_ticks=0, right_ticks=0, left_mm_s=250, right_mm_s=-125,
        battery_mv=7400, flags=flags,
    )  # fmt: skip


def cmd(seq: int, t_us: int, left_wheel: int, right_wheel: int, expires_us: int, *, session: int = 7) -> Cmd:
    return Cmd(seq % 65536, session, t_us % 2**30, left_wheel, right_wheel, expires_us % 2**30)


def hello(seq: int = 0, boot_id: int = 1, expiry_max_ms: int = 500) -> Hello:
    return Hello(
        seq=seq, session=0, t_us=0, protocol_version=1, schema_hash=bytes(4), uid=bytes.fromhex("a1b2c3d4"),
        boot_id=boot_id, firmware_version="0.1.0", board="sim", reset_cause=ResetCause.POWER_ON, uptime_ms=1,
        sensor_rate_hz=50, range_max_mm=2000, wheel_max=80, expiry_max_ms=expiry_max_ms, capabilities=0,
    )  # fmt: skip


def create(directory: Path, **options: object) -> Recorder:
    return Recorder.create(
        directory, **{"metadata": {"uid": "a1b2c3d4"}, "cddl": CDDL, "on_problem": no_problem, **options}
    )


def record_chunks(directory: Path, chunks: int) -> tuple[Path, int]:
    """A closed log of about `chunks` chunks; also how many messages it holds."""
    count = 0
    with create(directory) as recorder:
        for chunk in range(chunks):
            for _ in range(5):
                recorder.frame("device", encode(sensor(count, count * 20_000)), count * 20_000)
                recorder.event("observation", {"seq": count, "x_m": 0.1}, count * 20_000 + 1)
                count += 1
            if chunk == chunks // 2:
                recorder.metadata("robot", {"uid": "a1b2c3d4"})
            wait_until(lambda given=2 * count: recorder.stats.written >= given)
    return recorder.path, 2 * count


def wait_until(condition, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


@contextmanager
def held_disk():
    """A disk that takes nothing from the recorder's thread until the block ends; gives the event of its first try."""
    gate, tried = threading.Event(), threading.Event()
    pwrite = os.pwrite

    def hold(*args):
        if threading.current_thread().name == "recorder":
            tried.set()
            assert gate.wait(60)
        return pwrite(*args)

    with mock.patch.object(os, "pwrite", hold):
        try:
            yield tried
        finally:
            gate.set()


def plain_messages(path: Path) -> list[tuple[str, int, bytes]]:
    """Messages as mcap's own reader sees them, checksums validated."""
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        return [
            (channel.topic, message.log_time, message.data)
            for _, channel, message in reader.iter_messages(log_time_order=False)
        ]
