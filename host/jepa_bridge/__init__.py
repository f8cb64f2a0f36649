"""jepa-bridge: an ESP32 robot, a small world model and MPPI, joined over USB serial."""

from __future__ import annotations

__version__ = "0.1.0"
