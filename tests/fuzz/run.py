"""The long runs behind protocol/VERIFICATION.md; short versions are in test_fuzz.py.

python tests/fuzz/run.py agree --messages 1e6
python tests/fuzz/run.py frames --target host --bytes 1e9          resumable: say it again after an interruption
python tests/fuzz/run.py decoder --runs 1e7
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[1] / "host"):
    sys.path.insert(0, str(folder))

from fuzz_agree import agree, interpreters  # noqa: E402
from fuzz_frames import long_run  # noqa: E402

BUILD = HERE.parents[1] / "build" / "fuzz"


def main() -> int:
    """Run one of the three; the status is 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("agree", help="both codecs write and read the same messages")
    verb.add_argument("--messages", type=float, default=1e6)
    verb = verbs.add_parser("frames", help="noise and damaged frames through the framers")
    verb.add_argument("--target", choices=("host", "micropython", "cpython"), required=True)
    verb.add_argument("--bytes", type=float, default=1e9)
    verb.add_argument("--state", type=Path, help="where the run is kept, to go on from")
    verb = verbs.add_parser("decoder", help="the host's decoder under a fuzzer")
    verb.add_argument("--runs", type=float, default=1e7)
    verb.add_argument("--seed", type=int, default=1)
    verb.add_argument("--plain", action="store_true", help="without atheris")
    options = parser.parse_args()
    if options.verb == "agree":
        started = time.monotonic()
        programs = interpreters()
        agreed = agree(int(options.messages), list(programs.values()))
        for name, program in programs.items():
            print(f"{name}: {agreed[program]} of {int(options.messages)} messages agree byte for byte")
        print(f"{time.monotonic() - started:.0f} s")
        return 0 if set(agreed.values()) == {int(options.messages)} else 1
    if options.verb == "frames":
        state = options.state or BUILD / f"frames-{options.target}.json"
        return 0 if long_run(options.target, options.bytes, state) else 1
    command = [sys.executable, str(HERE / "fuzz_decoder.py"), str(BUILD / "corpus"), f"--runs={int(options.runs)}"]
    return subprocess.call([*command, f"--seed={options.seed}", *(["--plain"] if options.plain else [])])


if __name__ == "__main__":
    sys.exit(main())
