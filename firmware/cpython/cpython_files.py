"""Non-blocking files as MicroPython has them: write(buffer, n), readinto that answers None, and a poll with ipoll."""

import os
import select


class _File:
    def __init__(self, descriptor, mode):
        os.set_blocking(descriptor, False)
        self._file = open(descriptor, mode, buffering=0, closefd=False)

    def fileno(self):
        return self._file.fileno()

    def readinto(self, buffer):
        try:
            return self._file.readinto(buffer)
        except OSError:
            return None  # a pty whose other end is closed

    def write(self, buffer, n):
        return self._file.write(memoryview(buffer)[:n])


class _Poll:
    def __init__(self, stream):
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN)

    def ipoll(self, timeout_ms):
        return self._poll.poll(timeout_ms)


open_descriptor = _File
poll_input = _Poll
