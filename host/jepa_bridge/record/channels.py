"""The channels of a log: what each holds, and the schema that a viewer reads it by.

`wire/device` and `wire/host` are the truth: CBOR bodies as they crossed the wire. The rest is derived, in JSON, so that
any MCAP viewer can plot it. Schemas name the main fields and allow more, so that a field can be added without a new
schema.
"""

from __future__ import annotations

from typing import Any

WIRE_DEVICE = "wire/device"
WIRE_HOST = "wire/host"
WIRE_REJECTED = "wire/rejected"
RECORDER = "recorder"

# metadata records that the recorder writes itself
META_RECORDER = "recorder"
META_RUN = "run"
META_CLOSED = "closed"
META_RECOVERY = "recovery"


def _field(kind: str | list[str], meaning: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "description": meaning, **more}


_NUMBER_OR_NULL = ["number", "null"]
_RANGES = _field(
    "array",
    "metres: front, frontLeft, frontRight, left, right, backLeft, backRight, back; null = no reading",
    items={"type": _NUMBER_OR_NULL},
)
_POSE: dict[str, Any] = {
    "x_m": _field("number", "metres, odometry"),
    "y_m": _field("number", "metres, odometry"),
    "heading_rad": _field(_NUMBER_OR_NULL, "radians, counter-clockwise from +x, (-pi, pi]"),
}
_WHEELS: dict[str, Any] = {
    "left": _field("number", "left wheel, -1..1 of the largest command"),
    "right": _field("number", "right wheel, -1..1 of the largest command"),
}

_FIELDS: dict[str, dict[str, Any]] = {
    "observation": {
        "seq": _field("integer", "sequence number of the SENSOR frame"),
        "t_us": _field("integer", "microseconds, device clock, unwrapped"),
        "ranges_m": _RANGES,
        **_POSE,
        "left_m_s": _field("number", "metres per second"),
        "right_m_s": _field("number", "metres per second"),
        "battery_v": _field(_NUMBER_OR_NULL, "volts"),
        "bump": _field("boolean", "something touches the robot"),
        "wheel_stall": _field("boolean", "wheels are driven and do not turn"),
    },
    "plan": {
        "index": _field("integer", "counts plans of one run"),
        "observation_seq": _field("integer", "the SENSOR frame that the plan starts from"),
        "actions": _field("array", "(left, right) for each step, -1..1", items={"type": "array"}),
        "cost": _field("number", "cost of the plan, no unit"),
        "confidence": _field("number", "lowest along the plan, 0..1"),
        "step_s": _field("number", "seconds between actions"),
    },
    "command": {
        **_WHEELS,
        "left_wheel": _field("integer", "wheel units as sent, -80..80"),
        "right_wheel": _field("integer", "wheel units as sent, -80..80"),
        "source": _field("string", "what chose it: the plan or a fallback"),
        "cmd_seq": _field(["integer", "null"], "sequence number of its CMD frame"),
    },
    "health": {
        "rtt_us": _field(["integer", "null"], "microseconds, the clock exchange that counts"),
        "clock_bound_us": _field(["integer", "null"], "microseconds that the estimate of the robot's clock may be off"),
        "missed_frames": _field("integer", "gaps in the robot's sequence numbers"),
        "frames_bad": _field("integer", "broken frames that the host refused"),
        "frames_refused": _field("integer", "good frames with a wrong type, field, session or sequence"),
    },
    "goal": {
        **_POSE,
        "radius_m": _field("number", "metres: reached within this distance"),
        "state": _field("string", "reached, or what else became of it"),
    },
    "drive": {
        "sensor_seq": _field(["integer", "null"], "SENSOR frame that the drive core was given at this tick"),
        "plan_index": _field(["integer", "null"], "plan that it was given"),
    },
    "model": {
        "model": _field("string", "the bundle that was to take over from the plan that follows"),
        "model_hash": _field(["string", "null"], "its hash; null: it was refused"),
        "refused": _field(["string", "null"], "why"),
    },
    WIRE_REJECTED: {
        "hex": _field("string", "the bytes refused, in hexadecimal; the first 1024 of them"),
        "bytes": _field("integer", "how many bytes there were"),
        "reason": _field("string", "why they were refused"),
    },
    RECORDER: {
        "dropped_wire": _field("integer", "frames not recorded since the start"),
        "dropped_derived": _field("integer", "derived messages not recorded since the start"),
    },
}

# registered when a log is created, in this order, so that every log has the same channels
DERIVED = tuple(_FIELDS)


def json_schema(channel: str) -> dict[str, Any]:
    """The JSON schema of a derived channel; one that is not listed above may hold any object."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": channel,
        "type": "object",
        "properties": _FIELDS.get(channel, {}),
        "additionalProperties": True,
    }
