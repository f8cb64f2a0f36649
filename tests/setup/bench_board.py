"""A board on a bench: a real MicroPython behind a pty, with a folder for its flash and a reset button.

Run as a program: bench_board.py FOLDER FAKE_MACHINE_FOLDER. Prints the pty's name. After a reset (exit status 42 of its
program, as the fake machine.reset() makes it) it listens 0.4 s for Ctrl-C, as the firmware's boards do, and then runs
main.py of the folder, if there is one; else its prompt. A whole process stands for the chip, so nothing outlives it.
"""

import os
import pty
import select
import subprocess
import sys
import time
import tty
from pathlib import Path

WINDOW_S = 0.4


class BenchBoard:
    def __init__(self, folder, machine_folder, micropython):
        self.folder = Path(folder)
        self.micropython = micropython
        self.environment = {**os.environ, "MICROPYPATH": f":{machine_folder}:.frozen"}
        self.host, outside = pty.openpty()
        tty.setraw(outside)
        self.name = os.ttyname(outside)
        self.outside = outside  # held open, so that the pty outlives each opener
        self.boots = []

    def serve(self):
        run_main = True
        while True:
            self.boots.append("main" if run_main else "prompt")
            status = self.life(run_main)
            run_main = status == 42 and not self.interrupted()

    def interrupted(self):
        end_s = time.monotonic() + WINDOW_S
        while time.monotonic() < end_s:
            if select.select([self.host], [], [], 0.02)[0] and b"\x03" in os.read(self.host, 4096):
                return True
        return False

    def life(self, run_main):
        inside, chip = pty.openpty()
        tty.setraw(chip)
        main = ["main.py"] if run_main and (self.folder / "main.py").exists() else ["-i"]
        process = subprocess.Popen(
            [self.micropython, "-X", "heapsize=8M", *main],
            stdin=chip, stdout=chip, stderr=chip, cwd=self.folder, env=self.environment, start_new_session=True,
        )  # fmt: skip
        os.close(chip)
        try:
            while process.poll() is None:
                ready, _, _ = select.select([self.host, inside, sys.stdin], [], [], 0.05)
                if sys.stdin in ready and not os.read(0, 4096):
                    raise SystemExit  # the test has ended
                try:
                    if inside in ready:
                        os.write(self.host, os.read(inside, 4096))
                    if self.host in ready:
                        os.write(inside, os.read(self.host, 4096))
                except OSError:
                    break
            return process.wait(5)
        finally:
            process.kill()
            process.wait()
            os.close(inside)


if __name__ == "__main__":
    board = BenchBoard(*sys.argv[1:4])
    print(board.name, flush=True)
    board.serve()
