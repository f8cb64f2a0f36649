"""The disk says no: driving goes on, one message, nothing that was written is lost, everything else is counted."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from record_helpers import REPOSITORY, create, plain_messages, wait_until

from jepa_bridge.record import read_log, writer

LIMIT_BYTES = 30_000


def test_a_full_disk_costs_data_and_nothing_else(tmp_path):
    run_in_child("fill_disk_and_stay_full", tmp_path)


def test_recording_goes_on_when_there_is_room_again(tmp_path):
    run_in_child("fill_disk_and_free_it", tmp_path)


def run_in_child(function: str, directory: Path) -> None:
    """The limit on file sizes holds for a whole process, so it gets one of its own."""
    code = f"import test_record_disk as t; from pathlib import Path; t.{function}(Path({str(directory)!r}))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY / "host"), str(Path(__file__).parent)))}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=120)


def limit_file_size(limit_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond the limit fails with EFBIG
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))


def fill(recorder, problems) -> int:
    """Record random bytes until the recorder complains, and 50 messages more; returns how many."""
    count = 0
    while not problems or count % 50:
        recorder.frame("device", count.to_bytes(4, "big") + os.urandom(96), count)
        count += 1
        if count % 20 == 0:
            wait_until(lambda due=count - 20: problems or recorder.stats.written >= due)
    return count


def fill_disk_and_stay_full(directory: Path) -> None:
    writer.FLUSH_S = 0.02
    problems: list[str] = []
    limit_file_size(LIMIT_BYTES)
    recorder = create(directory, on_problem=problems.append, max_messages=100)
    count = fill(recorder, problems)
    for _ in range(200):  # more than the queue holds
        recorder.frame("device", b"", count)
        count += 1
    recorder.close()
    assert len(problems) == 1, problems
    assert str(recorder.path) in problems[0]
    assert "large" in problems[0]
    stats = recorder.stats
    messages = plain_messages(recorder.path)
    assert len(messages) > 100
    assert [int.from_bytes(data[:4], "big") for _, _, data in messages] == list(range(len(messages)))
    assert stats.written == len(messages)
    assert stats.dropped_wire == count - len(messages)
    log = read_log(recorder.path)
    assert log.torn
    assert (log.bytes_lost, log.refused) == (0, 0)
    assert recorder.path.stat().st_size <= LIMIT_BYTES


def fill_disk_and_free_it(directory: Path) -> None:
    writer.FLUSH_S = 0.02
    problems: list[str] = []
    limit_file_size(LIMIT_BYTES)
    recorder = create(directory, on_problem=problems.append)
    count = fill(recorder, problems)
    limit_file_size(resource.RLIM_INFINITY)
    wait_until(lambda: recorder.stats.written == count)
    recorder.close()
    assert len(problems) == 1, problems
    assert recorder.stats.dropped_wire == 0
    messages = plain_messages(recorder.path)
    assert [int.from_bytes(data[:4], "big") for _, _, data in messages] == list(range(count))
    assert not read_log(recorder.path).torn


def test_a_full_file_system(tmp_path):
    """The real ENOSPC, where the test may mount one."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        problems: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(writer, "FLUSH_S", 0.02)
            recorder = create(mount, on_problem=problems.append)
            count = fill(recorder, problems)
            recorder.close()
        assert len(problems) == 1
        assert "space" in problems[0]
        messages = plain_messages(recorder.path)
        assert [int.from_bytes(data[:4], "big") for _, _, data in messages] == list(range(len(messages)))
        assert len(messages) > 200
        assert recorder.stats.written == len(messages)
        assert recorder.stats.dropped_wire == count - len(messages)
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_the_directory_vanishes(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "FLUSH_S", 0.02)
    problems: list[str] = []
    recorder = create(tmp_path / "logs", on_problem=problems.append)
    recorder.frame("device", b"before", 0)
    wait_until(lambda: recorder.stats.written == 1)
    shutil.rmtree(tmp_path / "logs")
    for index in range(10):
        recorder.frame("device", b"after", index)
    wait_until(lambda: problems)
    recorder.close()
    assert len(problems) == 1
    assert "deleted" in problems[0]
    assert (recorder.stats.written, recorder.stats.dropped_wire) == (1, 10)


def test_an_fsync_that_fails_is_told_and_writing_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "FLUSH_S", 0.02)
    problems: list[str] = []
    recorder = create(tmp_path, on_problem=problems.append)

    def failing(_fd):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    recorder.frame("device", b"x", 0)
    wait_until(lambda: problems)
    recorder.close()
    assert len(problems) == 1
    assert [data for _, _, data in plain_messages(recorder.path)] == [b"x"]
