"""The firmware's own bench, from anywhere: micropython tests/bench/firmware_encode.py [--json]"""

# ruff: noqa: E402 - MicroPython is told its path first

import sys

FIRMWARE = sys.path[0] + "/../../firmware"
sys.path.insert(1, FIRMWARE)

import os

os.chdir(FIRMWARE)  # it reads its modules' sources

import bench_encode

bench_encode.main("--json" in sys.argv)
