"""What goes onto a robot's board, and the programs that put it there: no port is opened here.

A board is a file of firmware/boards that names its chip. Everything is compiled for that chip but `main.py`, which
MicroPython runs at boot by that name, and `settings.py`, which people edit.
"""

from __future__ import annotations

import ast
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from jepa_bridge.errors import BridgeError, Exit, missing_extra
from jepa_bridge.resources import shipped


@dataclass(frozen=True, slots=True)
class Chip:
    """What the programs have to know of a microcontroller."""

    architecture: str  # as mpy-cross names it
    image_offset: int  # where in its flash a MicroPython image begins


CHIPS = {
    "esp32": Chip("xtensawin", 0x1000),
    "esp32s3": Chip("xtensawin", 0x0),
    "esp32c3": Chip("rv32imc", 0x0),
}
# by number, in the upper bits of sys.implementation._mpy
ARCHITECTURES = (
    "none", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin",
    "rv32imc", "rv64imc",
)  # fmt: skip
IMAGE_BAUD = 460800
AS_SOURCE = ("main.py", "settings.py")
NOT_FOR_ROBOTS = ("bench_encode.py", "boards/sim.py")
WHERE_IMAGES_ARE = "the download page of the MicroPython project (micropython dot org), under the name of the chip"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the firmware on its way: from `source` to `target` on the device."""

    source: Path
    target: str

    @property
    def compiled(self) -> bool:
        """Whether mpy-cross makes it."""
        return self.target.endswith(".mpy")


def boards() -> list[str]:
    """The boards that can be flashed."""
    folder = shipped("firmware") / "boards"
    return sorted(path.stem for path in folder.glob("*.py") if _constant(path, "CHIP") is not None)


def chip_of(board: str) -> str:
    """The chip that a board's file names. Raises `board-unknown`."""
    path = shipped("firmware") / "boards" / f"{board}.py"
    chip = _constant(path, "CHIP") if path.is_file() else None
    if chip not in CHIPS:
        raise BridgeError(
            "board-unknown", f"there is no board {board!r}", f"known boards: {', '.join(boards())}", status=Exit.USAGE
        )
    assert isinstance(chip, str)
    return chip


def parts_for(board: str, settings: Path) -> list[Part]:
    """All files that the board needs, `settings` among them. main.py comes last: half a firmware shall not start."""
    folder = shipped("firmware")
    parts = []
    for source in sorted(folder.rglob("*.py")):
        name = source.relative_to(folder).as_posix()
        other_board = name.startswith("boards/") and name not in ("boards/esp32.py", f"boards/{board}.py")
        if name.startswith("cpython/") or name in NOT_FOR_ROBOTS or name in AS_SOURCE or other_board:
            continue
        parts.append(Part(source, name.removesuffix(".py") + ".mpy"))
    return [*parts, Part(settings, "settings.py"), Part(folder / "main.py", "main.py")]


def stale(device: dict[str, str], parts: list[Part]) -> list[str]:
    """Files on the device that would be imported instead of ours, or that an older firmware left."""
    ours = {part.target for part in parts}
    folders = {target.rpartition("/")[0] for target in ours}
    names = {target.rpartition(".")[0] for target in ours}
    return sorted(
        path
        for path in device
        if path not in ours
        and path.endswith((".py", ".mpy"))
        and (path.rpartition(".")[0] in names or (path.rpartition("/")[0] in folders - {""}))
    )


def program(name: str) -> str:
    """The path of a program that the extra `flash` brings. Raises `missing-extra`."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise missing_extra(name, "flash")
    return found


def compile_command(part: Part, architecture: str, output: Path) -> list[str]:
    """One file to bytecode and machine code."""
    return [
        "mpy-cross", f"-march={architecture}", "-msmall-int-bits=31", "-s", part.target.removesuffix(".mpy") + ".py",
        "-o", str(output), str(part.source),
    ]  # fmt: skip


def image_commands(port: str, chip: str, image: Path) -> list[list[str]]:
    """Erase the chip and write a MicroPython image."""
    esptool = ["esptool", "--chip", chip, "--port", port, "--baud", str(IMAGE_BAUD)]
    return [
        [*esptool, "erase-flash"],
        [*esptool, "write-flash", hex(CHIPS[chip].image_offset), str(image)],
    ]


def device_command(port: str, *actions: list[str]) -> list[str]:
    """One run of mpremote; it finds the device at its prompt and leaves it there."""
    command = ["mpremote", "connect", port, "resume"]
    for i, action in enumerate(actions):
        command += (["+"] if i else []) + action
    return command


def copy_actions(files: list[tuple[Path, str]], folders_there: set[str]) -> list[list[str]]:
    """mpremote's actions that make the folders and copy the files, in this order."""
    folders = sorted({target.rpartition("/")[0] for _, target in files} - {""} - folders_there)
    return [["fs", "mkdir", f":{folder}"] for folder in folders] + [
        ["fs", "cp", str(source), f":{target}"] for source, target in files
    ]


def _constant(path: Path, name: str) -> object:
    """The value of a plain assignment at a file's top; the file is not run."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    return None
