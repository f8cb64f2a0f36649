"""Run the link's measurements: `python tests/bench/link.py [--json] [--loss-seconds 600] [--port PORT]`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host"))

from jepa_bridge.link.bench import TWIN, decode_rate, delay, loss


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--port", default=TWIN, help=f"default: {TWIN}")
    parser.add_argument("--decode-seconds", type=float, default=2.0)
    parser.add_argument("--delay-seconds", type=float, default=20.0)
    parser.add_argument("--loss-seconds", type=float, default=60.0)
    chosen = parser.parse_args()
    results = {
        "decode": decode_rate(chosen.decode_seconds),
        "delay": delay(chosen.delay_seconds, chosen.port),
        "loss": loss(chosen.loss_seconds, chosen.port),
    }
    if chosen.json:
        print(json.dumps({name: dataclasses.asdict(result) for name, result in results.items()}))
    else:
        for name, result in results.items():
            print(f"{name}: {', '.join(f'{key} {value}' for key, value in dataclasses.asdict(result).items())}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
