"""A host to hold or to kill: `python -m jepa_bridge.faults.host PORT` drives at full speed until it ends."""

from __future__ import annotations

import sys
import time

from jepa_bridge.link import Clock, Link, open_transport
from jepa_bridge.link.schema import State
from jepa_bridge.types import WHEEL_UNITS

COMMAND_PERIOD_S = 0.05


def main() -> None:
    """Arm, say so, command; armed again by nobody."""
    link = Link(open_transport(sys.argv[1]), Clock())
    link.start()
    link.wait_ready(10.0)
    if link.state is State.STOPPED:
        link.clear()
    link.arm()
    print("driving", flush=True)  # noqa: T201 - for the process that watches
    while True:
        link.command(WHEEL_UNITS, WHEEL_UNITS)
        time.sleep(COMMAND_PERIOD_S)


if __name__ == "__main__":
    main()
