"""A file that is a complete MCAP file after every commit.

`mcap.Writer` writes an index and an end mark only when it finishes; killed before, it leaves a file that ordinary
readers refuse. Here each commit carries a short end (DataEnd, a footer that says "no index", magic) behind the new
records, and the next commit overwrites that end. So a recording that was cut off by `kill -9` opens in any reader.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

from mcap.opcode import Opcode
from mcap.writer import MCAP0_MAGIC

if TYPE_CHECKING:
    from pathlib import Path

# records are: opcode u8, length u64, content. A footer's zeros mean: no summary, no summary offsets, no CRC.
_ENDING = struct.pack("<BQI", Opcode.DATA_END, 4, 0) + struct.pack("<BQQQI", Opcode.FOOTER, 20, 0, 0, 0) + MCAP0_MAGIC


class Appender:
    """The stream under a `mcap.Writer`: collects what it writes and puts it into the file in one piece.

    A commit that fails leaves the file as it was and keeps the bytes, so that it can be tried again.
    """

    def __init__(self, path: Path) -> None:
        """Create `path`; it must not exist."""
        self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o644)
        self._committed = 0  # bytes in the file, without the ending
        self._pending = bytearray()

    def write(self, data: bytes) -> int:
        """Collect; part of the interface that `mcap.Writer` expects."""
        self._pending += data
        return len(data)

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._committed + len(self._pending)

    def flush(self) -> None:
        """Do nothing: `commit` decides when bytes go to the file."""

    @property
    def pending(self) -> bool:
        """Whether there are bytes that no commit has written."""
        return bool(self._pending)

    @property
    def committed_bytes(self) -> int:
        """How many bytes are in the file, apart from the ending."""
        return self._committed

    def commit(self, *, finished: bool = False) -> None:
        """Write what was collected; `finished` says that it has its own end. OSError: nothing has changed."""
        if os.fstat(self._fd).st_nlink == 0:
            # the file still takes bytes, but nobody can ever read them
            raise OSError(errno.ENOENT, "the file was deleted while it was being written")
        if not self._pending:
            return
        try:
            self._write_at(self._committed, bytes(self._pending) if finished else bytes(self._pending) + _ENDING)
        except OSError:
            self._undo()
            raise
        self._committed += len(self._pending)
        self._pending.clear()

    def sync(self) -> None:
        """Wait until the file's bytes are on the disk."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _write_at(self, offset: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            done = os.pwrite(self._fd, rest, offset)  # may write less, e.g. up to the last free block
            offset += done
            rest = rest[done:]

    def _undo(self) -> None:
        """Put the ending back where it was; if even that fails, the records before it are readable all the same."""
        try:
            os.ftruncate(self._fd, self._committed)
            self._write_at(self._committed, _ENDING)
        except OSError:
            return
