"""A program that records until it is killed: `python recording_child.py DIRECTORY`.

It says on standard output, in 8 bytes a message, the time of each frame that it has handed to the recorder.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from record_helpers import create, sensor

from jepa_bridge.link.codec import encode

recorder = create(Path(sys.argv[1]), on_problem=lambda what: print(what, file=sys.stderr))
seq = 0
while True:
    now_us = time.monotonic_ns() // 1000
    recorder.frame("device", encode(sensor(seq, now_us)), now_us)
    recorder.event("observation", {"seq": seq, "x_m": seq / 7, "ranges_m": [0.1, 0.2, None]}, now_us)
    os.write(1, now_us.to_bytes(8, "little"))
    seq += 1
    time.sleep(0.005)
