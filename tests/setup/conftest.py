"""A computer below a folder, for the doctor."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepa_bridge.setup.doctor.system import System


@pytest.fixture
def computer(tmp_path):
    """A system below a folder: files, what runs, what is listed."""

    def make(files=(), *, programs=None, listed=(), running=(), **more):
        for name, text in {**dict(files), **{f"/proc/{100 + i}/comm": n for i, n in enumerate(running)}}.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        defaults = {"holders": lambda _: [], "user": "mia", "groups": frozenset({"mia"}), "may_open": lambda _: True}
        return System(
            root=tmp_path, run=lambda command: (programs or {}).get(Path(command[0]).name), listed=lambda: list(listed),
            **{**defaults, **more},
        )  # fmt: skip

    return make
