"""The ESP32's board over a fake `machine`, its serial port on standard input and output, the heap locked in a session.

Only its own bytecode is put to the proof here: what the real parts allocate is not.
"""

# ruff: noqa: E402 - MicroPython is told its path first

import sys

sys.path.insert(1, sys.path[0] + "/../../../firmware")

import fake_machine
import micropython

sys.modules["machine"] = fake_machine

from boards.esp32_devkit import Board
from loop import Loop

loop = Loop(Board([]))
while not loop.session.frames_ok:
    loop.step()
micropython.heap_lock()
while True:
    loop.step()
