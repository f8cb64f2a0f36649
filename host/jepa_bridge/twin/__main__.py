"""`python -m jepa_bridge.twin "open?seed=3"`: see `process.py`; the parameters stand in `settings.py`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jepa_bridge.errors import BridgeError
from jepa_bridge.twin.settings import parse_settings


def main(arguments: list[str] | None = None) -> int:
    """Run one twin; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jepa_bridge.twin", description="A simulated robot on a pty.")
    parser.add_argument("twin", nargs="?", default="open", help="ARENA?seed=3&speed=1&...")
    parser.add_argument("--link", type=Path, metavar="PATH", help="make a symbolic link to the port")
    parser.add_argument("--stay", action="store_true", help="go on when standard input closes")
    options = parser.parse_args(arguments)
    try:
        settings = parse_settings(options.twin)
        from jepa_bridge.twin.process import serve  # noqa: PLC0415 - imports MuJoCo: a bad argument is told first

        serve(settings, link=options.link, stay=options.stay)
    except BridgeError as error:
        print(f"twin: {error.message}\n{error.hint}".rstrip(), file=sys.stderr)  # noqa: T201
        return int(error.status)
    return 0


if __name__ == "__main__":
    sys.exit(main())
