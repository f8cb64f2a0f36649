"""A stand-in for the firmware that obeys single letters on the pty: tests of the process around it need no more."""

import json
import os
import select
import struct
import sys
import time
from pathlib import Path

BODY = struct.Struct("<I8HiiHBB")
MOTOR = struct.Struct("<bbH")
wheels = (0, 0)
body = None
counter = 0
sent_s = 0.0


def say(what):
    os.write(1, json.dumps(what).encode() + b"\n")


say({"arguments": sys.argv[1:], "folder": Path.cwd().name, "pid": os.getpid()})
while True:
    select.select([0, 3], [], [], 0.05)
    try:
        while data := os.read(3, BODY.size):
            body = BODY.unpack(data)
        sys.exit(0)  # the twin has gone
    except BlockingIOError:
        pass
    try:
        letters = os.read(0, 64).decode()
    except BlockingIOError:
        letters = ""
    for letter in letters:
        if letter == "r":
            sys.exit(42)
        if letter == "x":
            sys.exit(7)
        if letter == "f":
            wheels = (80, 80)
        if letter == "h":
            time.sleep(600)
        if letter == "b":
            say({"body": body})
    if time.monotonic() - sent_s > 0.05:
        os.write(4, MOTOR.pack(*wheels, counter))
        counter = (counter + 1) % 65536
        sent_s = time.monotonic()
