"""Start the firmware on its board.

On a microcontroller the module `settings` on the device names it (settings.py: BOARD = "esp32_devkit"). On a PC the
command line does: `micropython main.py sim KEY=VALUE...`.
"""

import sys

import micropython


def board():
    if len(sys.argv) > 1:
        name, options = sys.argv[1], sys.argv[2:]
    else:
        import settings

        name, options = settings.BOARD, []
    module = __import__("boards." + name, None, None, ("Board",))
    return module.Board(options)


def main():
    made = board()  # first of all: it switches the motors off
    from loop import Loop

    Loop(made).run()


if __name__ == "__main__":
    main()
