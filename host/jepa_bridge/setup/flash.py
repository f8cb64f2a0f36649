"""From a board on a port to a robot that says HELLO: image, compiled firmware, only what changed, proven by hash.

The programs do the work: esptool writes the image, mpy-cross compiles, mpremote lists and copies. Not measured on
hardware: tests drive mpremote against a real MicroPython on a pseudo-terminal.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.link import Clock, Link, open_transport
from jepa_bridge.setup.flash_plan import (
    ARCHITECTURES,
    CHIPS,
    WHERE_IMAGES_ARE,
    chip_of,
    compile_command,
    copy_actions,
    device_command,
    image_commands,
    parts_for,
    program,
    stale,
)
from jepa_bridge.setup.prompt import open_when_there, to_prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.setup.flash_plan import Part

PROGRAM_TIMEOUT_S = 300.0  # an image of 1.7 MB at 460800 baud takes 40 s
HELLO_TIMEOUT_S = 15.0
COPIES_A_RUN = 8  # files; a run of mpremote costs half a second, a broken one all of its files
BYTECODE_VERSION = 6

# run on the device: what it is, and the SHA-256 of every file, in blocks that fit its memory
LIST_NAME = "list_files.py"
LIST_CODE = """
import os,sys,json,hashlib,binascii
def w(d):
 for f in os.ilistdir(d or '.'):
  p=d+f[0]
  if f[1]==0x4000:
   if f[0][0]!='.':w(p+'/')
  else:
   h=hashlib.sha256()
   with open(p,'rb') as s:
    while True:
     b=s.read(512)
     if not b:break
     h.update(b)
   F[p]=binascii.hexlify(h.digest()).decode()
F={}
w('')
print(json.dumps({'files':F,'mpy':sys.implementation._mpy,'version':list(sys.implementation.version[:3])}))
"""


@dataclass(frozen=True, slots=True)
class FlashRequest:
    """What a person asked for."""

    port: str
    board: str
    settings: Path
    image: Path | None = None
    architecture: str | None = None  # None: the chip's
    baud: int = 115200
    reset: bool = True  # start it afterwards and wait for HELLO


@dataclass(frozen=True, slots=True)
class Device:
    """What a board at its prompt says of itself."""

    files: dict[str, str]  # path: SHA-256
    mpy: int  # version and architecture of its bytecode


@dataclass(slots=True)
class FlashReport:
    """What was done."""

    board: str
    commands: list[str] = field(default_factory=list)  # as run, or as they would be
    copied: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    verified: bool = False
    robot: str | None = None  # its uid, once it said HELLO


def dry_run(request: FlashRequest) -> FlashReport:
    """The exact commands of a first flash, none of them run."""
    chip, architecture = _chip_and_architecture(request)
    report = FlashReport(request.board)
    parts = parts_for(request.board, request.settings)
    build = Path("BUILD")
    commands = [compile_command(part, architecture, build / part.target) for part in parts if part.compiled]
    if request.image is not None:
        commands += image_commands(request.port, chip, request.image)
    commands.append(_list_command(request, build))
    files = [(_built(part, build), part.target) for part in parts]
    commands += [device_command(request.port, *batch) for batch in _batches(copy_actions(files, set()))]
    commands.append(_list_command(request, build))
    if request.reset:
        commands.append(device_command(request.port, ["reset"]))
    report.commands = [shlex.join(command) for command in commands]
    return report


def flash(request: FlashRequest, note: Callable[[str], None]) -> FlashReport:
    """Do it; `note` is told each step. Raises BridgeError naming the program or the file that failed."""
    chip, architecture = _chip_and_architecture(request)
    for name in ("mpy-cross", "mpremote", *(("esptool",) if request.image else ())):
        program(name)
    report = FlashReport(request.board)
    open_transport(request.port, request.baud).close()  # says best what keeps a port from being opened
    with tempfile.TemporaryDirectory(prefix="jepa-bridge-flash-") as folder:
        build = Path(folder)
        parts = parts_for(request.board, request.settings)
        note(f"compiling {len(parts)} files for {architecture}")
        _compile(parts, architecture, build, report)
        if request.image is not None:
            note(f"writing {request.image.name} to the chip: everything on it goes")
            for command in image_commands(request.port, chip, request.image):
                _run(command, report)
        note("looking for the prompt")
        to_prompt(request.port, request.baud)
        device = _listing(request, build, report)
        _check_device(device, architecture, request)
        _update(request, parts, build, device.files, report, note)
    if request.reset:
        note("starting it, waiting for HELLO")
        _run(device_command(request.port, ["reset"]), report)
        report.robot = _await_hello(request)
    return report


def _update(
    request: FlashRequest,
    parts: list[Part],
    build: Path,
    there: dict[str, str],
    report: FlashReport,
    note: Callable[[str], None],
) -> None:
    """Copy what differs, remove what is in the way, and prove the result by hash."""
    wanted = {part.target: hashlib.sha256(_built(part, build).read_bytes()).hexdigest() for part in parts}
    changed = [(_built(part, build), part.target) for part in parts if there.get(part.target) != wanted[part.target]]
    report.unchanged = sorted(wanted.keys() - {target for _, target in changed})
    report.removed = stale(there, parts)
    if changed and "main.py" in there:
        # first out, last in: a copy that breaks off leaves a board at its prompt, not half a firmware that drives
        report.removed = [*report.removed, "main.py"]
        changed = [item for item in changed if item[1] != "main.py"] + [(_source(parts, "main.py"), "main.py")]
    note(f"{len(changed)} files to copy, {len(report.unchanged)} unchanged, {len(report.removed)} to remove")
    actions = [["fs", "rm", f":{path}"] for path in report.removed]
    actions += copy_actions(changed, {path.rpartition("/")[0] for path in there})
    for batch in _batches(actions):
        _run(device_command(request.port, *batch), report)
    report.copied = [target for _, target in changed]
    report.removed = [path for path in report.removed if path != "main.py"]
    after = _listing(request, build, report).files
    wrong = sorted(target for target, digest in wanted.items() if after.get(target) != digest)
    if wrong:
        raise BridgeError(
            "flash-verify",
            f"on the device these files are not what was sent: {', '.join(wrong)}",
            "run it again; if it stays, its flash is full or worn: write the image anew with --image",
        )
    report.verified = True


def _compile(parts: list[Part], architecture: str, build: Path, report: FlashReport) -> None:
    for part in parts:
        if part.compiled:
            output = build / part.target
            output.parent.mkdir(parents=True, exist_ok=True)
            _run(compile_command(part, architecture, output), report)


def _built(part: Part, build: Path) -> Path:
    return build / part.target if part.compiled else part.source


def _source(parts: list[Part], target: str) -> Path:
    return next(part.source for part in parts if part.target == target)


def _batches(actions: list[list[str]]) -> list[list[list[str]]]:
    return [actions[i : i + COPIES_A_RUN] for i in range(0, len(actions), COPIES_A_RUN)]


def _chip_and_architecture(request: FlashRequest) -> tuple[str, str]:
    chip = chip_of(request.board)
    if request.image is not None and not request.image.is_file():
        raise BridgeError(
            "image-missing",
            f"there is no image {request.image}",
            f"download one from {WHERE_IMAGES_ARE}",
            status=Exit.USAGE,
        )
    return chip, request.architecture or CHIPS[chip].architecture


def _listing(request: FlashRequest, build: Path, report: FlashReport) -> Device:
    """What the device says of itself and its files."""
    (build / LIST_NAME).write_text(LIST_CODE, encoding="utf-8")
    told = _run(_list_command(request, build), report)
    try:
        listing = json.loads(told.strip().splitlines()[-1])
        return Device({str(path): str(digest) for path, digest in listing["files"].items()}, int(listing["mpy"]))
    except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
        raise BridgeError(
            "flash-listing", f"the device did not list its files: {told.strip()[-200:]!r}", "run it again"
        ) from error


def _list_command(request: FlashRequest, build: Path) -> list[str]:
    return device_command(request.port, ["run", str(build / LIST_NAME)])


def _check_device(device: Device, architecture: str, request: FlashRequest) -> None:
    """A board of another kind would take the files and then refuse to import them."""
    number = device.mpy >> 10 & 0x0F
    found = ARCHITECTURES[number] if number < len(ARCHITECTURES) else f"number {number}"
    if device.mpy & 0xFF != BYTECODE_VERSION or found != architecture:
        raise BridgeError(
            "wrong-board",
            f"the board {request.board} needs MicroPython for {architecture} with bytecode {BYTECODE_VERSION}; "
            f"on {request.port} is one for {found} with bytecode {device.mpy & 0xFF}",
            f"is it another --board? An image for it is on {WHERE_IMAGES_ARE}: give it with --image",
            status=Exit.INCOMPATIBLE,
        )


def _await_hello(request: FlashRequest) -> str:
    transport = open_when_there(request.port, request.baud, HELLO_TIMEOUT_S)
    link = Link(transport, Clock(transport.time_scale), reopen=lambda: open_transport(request.port, request.baud))
    link.start()
    try:
        return link.wait_ready(HELLO_TIMEOUT_S).uid.hex()
    finally:
        link.close()


def _run(command: list[str], report: FlashReport) -> str:
    """Run a program; its output. The error holds the last thing it said."""
    report.commands.append(shlex.join(command))
    path = program(command[0])
    try:
        ran = subprocess.run(
            [path, *command[1:]],
            capture_output=True,
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise BridgeError(
            "flash-failed", f"{command[0]} did not end within {PROGRAM_TIMEOUT_S:g} s", "reset the board, try again"
        ) from error
    output = ran.stdout.decode(errors="replace")
    if ran.returncode != 0:
        said = (ran.stderr.decode(errors="replace").strip() or output.strip()).splitlines() or ["nothing"]
        last = next((line for line in reversed(said) if "error" in line.lower()), said[-1])
        width = shutil.get_terminal_size().columns * 2
        raise BridgeError(
            "flash-failed",
            f"{command[0]} ended with status {ran.returncode}: {last[:width]}",
            f"by hand: {shlex.join(command)[:width]}",
        )
    return output
