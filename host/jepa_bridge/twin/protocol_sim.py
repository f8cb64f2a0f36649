"""`sim://ARENA?seed=3&speed=2` as a serial port: a twin started behind it, and an ordinary POSIX port in front.

pyserial's `serial_for_url` finds this module through `serial.protocol_handler_packages`, by its name. The twin lives
from `open` to `close`, and no longer than this process: it ends when the pipe to its standard input closes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import serial

from jepa_bridge.errors import BridgeError, Exit, missing_extra
from jepa_bridge.twin.settings import TwinSettings, parse_settings

SCHEME = "sim://"
START_TIMEOUT_S = 30.0  # importing MuJoCo on a busy Raspberry Pi takes several seconds
END_TIMEOUT_S = 3.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def settings_of(url: str) -> TwinSettings:
    """What a `sim://` URL asks for; BridgeError where it cannot be had."""
    if not url.lower().startswith(SCHEME):
        raise BridgeError("twin-url", f"expected {SCHEME}ARENA?seed=N, got {url!r}", status=Exit.USAGE)
    return parse_settings(url[len(SCHEME) :])


class Serial(serial.Serial):
    """A serial port with a simulated robot behind it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._twin: _TwinProcess | None = None
        self._settings: TwinSettings | None = None
        super().__init__(*args, **kwargs)

    @property
    def time_scale(self) -> float:
        """How many of the robot's seconds pass in one second of this machine."""
        return self._settings.speed if self._settings else 1.0

    @property
    def twin(self) -> dict[str, Any]:
        """What the running twin says of itself: its own port, arena, seed, start pose, firmware, process id."""
        return self._twin.description if self._twin else {}

    def open(self) -> None:
        """Start a twin and open its pseudo-terminal."""
        url = self.portstr
        if url is None or self.is_open:
            super().open()  # says what is wrong
            return
        self._settings = settings_of(url)
        self._twin = _TwinProcess(url[len(SCHEME) :])
        try:
            self.portstr = self._twin.description["port"]
            super().open()
        except BaseException:
            self._end_twin()
            raise
        finally:
            self.portstr = url

    def close(self) -> None:
        """Close the port and end the twin."""
        super().close()
        self._end_twin()

    def _end_twin(self) -> None:
        twin, self._twin = self._twin, None
        if twin:
            twin.end()

    def _update_dtr_state(self) -> None:
        """A pseudo-terminal has no modem lines; setting one changes nothing."""

    def _update_rts_state(self) -> None:
        """As for DTR."""


class _TwinProcess:
    """`python -m jepa_bridge.twin` as a child that cannot outlive its parent."""

    def __init__(self, spec: str) -> None:
        if importlib.util.find_spec("mujoco") is None:
            raise missing_extra("mujoco", "sim")
        environment = dict(os.environ)
        # the child shall find the package where this process found it, installed or not
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), environment.get("PYTHONPATH")]))
        # a pipe would fill up unread, the terminal would be written over: a file can be told from when it matters
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jepa_bridge.twin", spec],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            # an interrupt typed at the terminal is for the host: it stops the robot in order, and then the twin
            start_new_session=True,
        )
        try:
            self.description = self._read_description()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Close the child's standard input, which ends it; insist if it does not."""
        if self._process.stdin:
            self._process.stdin.close()
        for insist in (self._process.terminate, self._process.kill, lambda: None):
            try:
                self._process.wait(END_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                insist()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    def _read_description(self) -> dict[str, Any]:
        """The child's line of JSON."""
        assert self._process.stdout is not None
        stdout_fd = self._process.stdout.fileno()
        deadline_s = time.monotonic() + START_TIMEOUT_S
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([stdout_fd], [], [], max(0.0, deadline_s - time.monotonic()))
            data = os.read(stdout_fd, 4096) if ready else b""
            if not data:
                what = "ended" if ready else f"said nothing for {START_TIMEOUT_S:g} s"
                raise BridgeError("twin-start", f"the twin {what} instead of starting", self._told(), status=Exit.PORT)
            line += data
        description: dict[str, Any] = json.loads(line)
        return description

    def _told(self) -> str:
        """The end of what the child wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode(errors="replace").strip()
