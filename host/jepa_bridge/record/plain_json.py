"""Any value of the bridge as JSON that every viewer accepts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def to_json(value: Mapping[str, object]) -> bytes:
    """Compact JSON; NaN and infinity become null. TypeError, ValueError or RecursionError for what cannot be JSON."""
    try:
        text = json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"))
    except ValueError:  # NaN and infinity are rare, so the copy without them is made only then
        text = json.dumps(_finite(value), default=_plain, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _plain(value: object) -> object:
    """Numpy's numbers and arrays have `tolist`; mappings that are no dict and sets are common enough as well."""
    if isinstance(value, Mapping):
        return dict(value)
    tolist = getattr(value, "tolist", None)
    return _finite(tolist()) if tolist is not None else str(value)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
