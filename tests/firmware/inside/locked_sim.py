"""`main.py sim` with the heap locked from the host's first frame on: an allocation then ends the program.

Not earlier, because the poll object makes the tuple that it reuses at its first event.
"""

import sys

sys.path.insert(1, sys.path[0] + "/../../../firmware")

import micropython
from boards.sim import Board
from loop import Loop

loop = Loop(Board(sys.argv[2:]))
while not loop.session.frames_ok:
    loop.step()
micropython.heap_lock()
while True:
    loop.step()
