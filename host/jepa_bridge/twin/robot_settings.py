"""A robot's settings file, firmware/settings.py: read without running it, written with its comments kept."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.resources import shipped

if TYPE_CHECKING:
    from pathlib import Path

Value = int | str | tuple[int, ...]


def drawn_settings() -> dict[str, Value]:
    """The robot as drawn: what a setting is worth that a file does not name."""
    return read_settings(shipped("firmware") / "settings.py")


def read_settings(path: Path) -> dict[str, Value]:
    """Every NAME = VALUE of the file. Raises `robot-settings` for a file that holds anything else."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    except (SyntaxError, ValueError) as error:
        raise _refused(path, f"it is no Python file: {error}") from error
    settings: dict[str, Value] = {}
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            raise _refused(path, f"line {node.lineno} is not NAME = VALUE")
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            raise _refused(path, f"line {node.lineno}: expected a plain value") from None
        plain = isinstance(value, int | str) or (
            isinstance(value, tuple) and all(isinstance(part, int) for part in value)
        )
        if not plain:
            raise _refused(path, f"line {node.lineno}: expected a whole number, a text or several numbers")
        settings[node.targets[0].id] = value
    return settings


def write_settings(template: Path, path: Path, changes: dict[str, Value]) -> None:
    """Write `template` to `path` with other values; a name that it lacks is added at its end."""
    read_settings(template)
    text = template.read_text(encoding="utf-8")
    for name, value in changes.items():
        line = re.compile(rf"^{name} = [^#\n]*?(?P<rest>  #.*)?$", re.MULTILINE)
        if line.search(text):
            text = line.sub(lambda found, told=f"{name} = {value!r}": told + (found["rest"] or ""), text)  # type: ignore[misc]
        else:
            text = text.rstrip("\n") + f"\n{name} = {value!r}\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BridgeError("robot-settings", f"cannot write {path}: {error.strerror}", status=Exit.USAGE) from error
    if {name: read_settings(path).get(name) for name in changes} != changes:
        raise _refused(path, "a value in it stands over several lines: put it on one")


def _refused(path: Path, what: str) -> BridgeError:
    return BridgeError(
        "robot-settings", f"{path}: {what}", "start from a copy of firmware/settings.py", status=Exit.USAGE
    )
