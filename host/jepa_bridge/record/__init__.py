"""The log: what crossed the wire, in MCAP.

    Recorder.create   write one        read_log   read one, whole or torn        recover   complete a torn one
    summarise         what it holds    transitions, export_shard   training data from it

Names are loaded when first used: mcap and numpy cost a Pi more time than `jepa-bridge --help` should take.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jepa_bridge.record.export import ShardSummary, export_shard, transitions
    from jepa_bridge.record.reader import Log, Record, read_log
    from jepa_bridge.record.recovery import RecoverySummary, recover
    from jepa_bridge.record.summary import LogSummary, summarise
    from jepa_bridge.record.writer import Recorder, RecorderStats

_HOMES = {
    "Log": "reader",
    "LogSummary": "summary",
    "Record": "reader",
    "Recorder": "writer",
    "RecorderStats": "writer",
    "RecoverySummary": "recovery",
    "ShardSummary": "export",
    "export_shard": "export",
    "read_log": "reader",
    "recover": "recovery",
    "summarise": "summary",
    "transitions": "export",
}

__all__ = [
    "Log",
    "LogSummary",
    "Record",
    "Recorder",
    "RecorderStats",
    "RecoverySummary",
    "ShardSummary",
    "export_shard",
    "read_log",
    "recover",
    "summarise",
    "transitions",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value  # the next use does not come here
    return value
