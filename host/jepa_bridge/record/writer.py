"""Record a run: every frame at the wire, and what was derived from it, in one MCAP file that grows as the robot drives.

    with Recorder.create(Path("logs"), metadata={"uid": "a1b2c3d4"}, cddl=cddl, on_problem=print) as recorder:
        recorder.frame("device", body, t_us)

Callers hand over bytes and go on; a thread of its own writes them. Trouble with the disk costs data, which is counted,
and never a driving robot.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Literal, Self, cast

from mcap.writer import Writer

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.record import channels
from jepa_bridge.record.appender import Appender
from jepa_bridge.record.backlog import MAX_MESSAGES, Backlog, Entry
from jepa_bridge.record.plain_json import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

FLUSH_S = 0.5  # what a kill may cost, plus the time of one write: half of the second that is allowed
SYNC_EVERY_FLUSHES = 2  # fsync each second; more often wears out SD cards
CLOSE_TIMEOUT_S = 10.0  # a disk that hangs must not keep the program from ending
REJECTED_MAX_BYTES = 1024  # noise on a line must not fill the disk
_FORMAT = "1"
_PROFILE = "jepa-bridge"
# Nothing but a flush by time closes a chunk, or by size when much came at once (a queue that was stalled).
_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """What became of the messages so far; the rest is on its way."""

    written: int
    dropped_wire: int
    dropped_derived: int
    bytes_written: int


class Recorder:
    """Writes one log. Its methods may be called from any thread; they neither wait for the disk nor raise."""

    def __init__(
        self,
        path: Path,
        file: Appender,
        writer: Any,  # a mcap.Writer, whose annotations are incomplete
        epoch_offset_ns: int,
        cddl: str,
        backlog: Backlog,
        on_problem: Callable[[str], None],
    ) -> None:
        """Use `Recorder.create`."""
        self.path = path
        self._file = file
        self._writer = writer
        self._epoch_offset_ns = epoch_offset_ns
        self._backlog = backlog
        self._on_problem = on_problem
        self._told = False
        self._channel_ids: dict[str, int] = {}
        self._metadata: deque[tuple[str, dict[str, str]]] = deque(maxlen=1000)
        self._written = 0
        self._uncommitted: list[Entry] = []
        self._drops_noted = (0, 0)
        self._register_wire(cddl)
        for channel in channels.DERIVED:
            self._register_json(channel)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._sync_due = threading.Event()
        self._write_thread = threading.Thread(target=self._write_loop, name="recorder", daemon=True)
        self._sync_thread = threading.Thread(target=self._sync_loop, name="recorder-sync", daemon=True)
        self._write_thread.start()
        self._sync_thread.start()

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        metadata: Mapping[str, str],
        cddl: str,
        on_problem: Callable[[str], None],
        name: str | None = None,
        now_us: int | None = None,
        max_messages: int = MAX_MESSAGES,
    ) -> Self:
        """Start a log in `directory`, which is made if need be.

        `metadata` is stored as the record `run`; its `uid` goes into the file's name. `cddl` is the text of
        bridge.cddl, the schema of the wire channels. `name` replaces the file's name (without `.mcap`). `now_us` is
        the present time on the clock that later `t_us` come from, if that is not `time.monotonic_ns() // 1000`.
        `on_problem` is told once, from another thread, if the log cannot be written any more.
        """
        started = datetime.now(UTC)
        epoch_offset_ns = time.time_ns() - (time.monotonic_ns() // 1000 if now_us is None else now_us) * 1000
        stem = _file_stem(started, metadata.get("uid", "")) if name is None else _safe(name)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path, file = _create_file(directory, stem)
        except OSError as error:
            raise _cannot_create(directory, error) from error
        writer = Writer(cast("IO[Any]", file), chunk_size=_CHUNK_BYTES)
        writer.start(profile=_PROFILE)
        writer.add_metadata(
            channels.META_RECORDER,
            {"format": _FORMAT, "started_utc": started.isoformat(), "epoch_offset_ns": str(epoch_offset_ns)},
        )
        writer.add_metadata(channels.META_RUN, {str(key): str(value) for key, value in metadata.items()})
        try:
            file.commit()
            file.sync()
            _sync_directory(directory)
        except OSError as error:
            file.close()
            path.unlink(missing_ok=True)
            raise _cannot_create(directory, error) from error
        return cls(path, file, writer, epoch_offset_ns, cddl, Backlog(max_messages), on_problem)

    def frame(self, direction: Literal["device", "host"], body: bytes, t_us: int) -> None:
        """A frame's CBOR body as it crossed the wire, from the device or from the host, at the host's time `t_us`."""
        self._put(channels.WIRE_DEVICE if direction == "device" else channels.WIRE_HOST, body, t_us, derived=False)

    def rejected(self, data: bytes, reason: str, t_us: int) -> None:
        """Bytes from the line that are no good frame."""
        value = {"hex": data[:REJECTED_MAX_BYTES].hex(), "bytes": len(data), "reason": reason}
        self.event(channels.WIRE_REJECTED, value, t_us)

    def event(self, channel: str, value: Mapping[str, object], t_us: int) -> None:
        """A derived value, as JSON. NaN and infinity become null; a value that JSON cannot hold counts as dropped."""
        try:
            data = to_json(value)
        except (TypeError, ValueError, RecursionError):
            self._backlog.count_dropped(derived=True)
        else:
            self._put(channel, data, t_us, derived=True)

    def metadata(self, name: str, mapping: Mapping[str, str]) -> None:
        """Facts about the run that are known only later, e.g. who the robot is."""
        self._metadata.append((name, {str(key): str(value) for key, value in mapping.items()}))

    @property
    def stats(self) -> RecorderStats:
        """Counts up to now."""
        backlog = self._backlog
        return RecorderStats(self._written, backlog.dropped_wire, backlog.dropped_derived, self._file.committed_bytes)

    def close(self) -> None:
        """Write what is queued and the index. A second call does nothing."""
        self._backlog.close()
        self._closing.set()
        self._wake.set()
        self._write_thread.join(CLOSE_TIMEOUT_S)
        if self._write_thread.is_alive():
            self._problem(f"the disk did not take it within {CLOSE_TIMEOUT_S:.0f} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- the callers' side ----

    def _put(self, channel: str, data: bytes, t_us: int, *, derived: bool) -> None:
        log_time_ns = t_us * 1000 + self._epoch_offset_ns
        if self._backlog.put(channel, log_time_ns, bytes(data), derived=derived):
            self._wake.set()

    # ---- the writing thread ----

    def _write_loop(self) -> None:
        flushes = 0
        closing = False
        while not closing:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            closing = self._closing.is_set()  # read before the queue is taken, so that nothing stays in it
            try:
                self._flush()
            except Exception as error:  # whatever it is, the robot drives on
                self._problem(_what(error))
                self._closing.wait(FLUSH_S)  # a full queue sets _wake all the time; that must not become a busy loop
            flushes += 1
            if flushes % SYNC_EVERY_FLUSHES == 0:
                self._sync_due.set()
        self._finish()

    def _flush(self) -> None:
        """One chunk of what came since the last one.

        After a commit that failed (a full disk) only that is tried again: the rest waits in the queue, which is
        bounded and drops by its own rule.
        """
        if not self._file.pending:
            self._encode(self._backlog.take_all())
        self._file.commit()
        self._written += len(self._uncommitted)
        self._uncommitted = []

    def _encode(self, entries: list[Entry]) -> None:
        for entry in entries:
            channel_id = self._channel_ids.get(entry.channel) or self._register_json(entry.channel)
            self._writer.add_message(
                channel_id, entry.log_time_ns, entry.data, publish_time=entry.log_time_ns, sequence=entry.sequence
            )
        self._uncommitted = entries
        drops = (self._backlog.dropped_wire, self._backlog.dropped_derived)
        if drops != self._drops_noted:
            self._drops_noted = drops
            note = to_json({"dropped_wire": drops[0], "dropped_derived": drops[1]})
            now_ns = entries[-1].log_time_ns if entries else time.time_ns()
            self._writer.add_message(self._channel_ids[channels.RECORDER], now_ns, note, publish_time=now_ns)
        while self._metadata:
            self._writer.add_metadata(*self._metadata.popleft())
        self._writer.flush()

    def _finish(self) -> None:
        """The index and the end; if there is no room for them, the file stays as it is, which is readable too."""
        self._backlog.count_dropped(derived=False, messages=sum(not e.derived for e in self._uncommitted))
        self._backlog.count_dropped(derived=True, messages=sum(e.derived for e in self._uncommitted))
        for entry in self._backlog.take_all():
            self._backlog.count_dropped(derived=entry.derived)
        try:
            if not self._file.pending:
                stats = self.stats
                totals = ("written", "dropped_wire", "dropped_derived")
                self._writer.add_metadata(channels.META_CLOSED, {key: str(getattr(stats, key)) for key in totals})
                self._writer.finish()
                self._file.commit(finished=True)
                self._file.sync()
        except OSError as error:
            self._problem(_what(error))
        self._sync_due.set()
        self._sync_thread.join()  # it uses the file; and it ends, because _closing is set
        self._file.close()

    def _register_wire(self, cddl: str) -> None:
        schema = self._writer.register_schema("bridge.cddl", "cddl", cddl.encode())
        for channel in (channels.WIRE_DEVICE, channels.WIRE_HOST):
            self._channel_ids[channel] = self._writer.register_channel(channel, "cbor", schema)

    def _register_json(self, channel: str) -> int:
        data = json.dumps(channels.json_schema(channel)).encode()
        schema = self._writer.register_schema(f"jepa_bridge.{channel}", "jsonschema", data)
        self._channel_ids[channel] = self._writer.register_channel(channel, "json", schema)
        return self._channel_ids[channel]

    def _problem(self, what: str) -> None:
        if not self._told:
            self._told = True
            with contextlib.suppress(Exception):  # a listener's mistake must not end the recording
                self._on_problem(f"recording to {self.path} has a problem: {what}. Driving goes on")

    # ---- the syncing thread: an SD card may take seconds for an fsync, and writing must go on meanwhile ----

    def _sync_loop(self) -> None:
        while not self._closing.is_set():
            self._sync_due.wait()
            self._sync_due.clear()
            try:
                self._file.sync()
            except OSError as error:
                self._problem(_what(error))


def _what(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}"


def _file_stem(started: datetime, uid: str) -> str:
    stamp = f"{started:%Y%m%d-%H%M%S}"  # UTC: names sort by time, also across a change of the clocks
    return f"{stamp}-{_safe(uid)}" if uid else stamp


def _safe(name: str) -> str:
    """A file name without surprises: no separators, no leading dot."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip(".") or "log"


def _create_file(directory: Path, stem: str) -> tuple[Path, Appender]:
    """A new file; another log of the same second gets a number instead of being overwritten."""
    number = 1
    while True:
        path = directory / (f"{stem}.mcap" if number == 1 else f"{stem}-{number}.mcap")
        try:
            return path, Appender(path)
        except FileExistsError:
            number += 1


def _sync_directory(directory: Path) -> None:
    """Make the file's name last through a power cut."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _cannot_create(directory: Path, error: OSError) -> BridgeError:
    return BridgeError(
        "log-directory",
        f"cannot write a log in {directory}: {_what(error)}",
        "choose a folder that can be written and has free space",
        status=Exit.LOG,
    )
