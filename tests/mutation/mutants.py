"""Small faults put into a Python file, one at a time: what a test suite must notice.

Own code and not a tool's, because the firmware is flat MicroPython files: they are no package (which mutmut asks for),
two people may work in the checkout (cosmic-ray rewrites the files in place), and the tests import them by hand. A
mutant here is only ever compiled in memory.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

# each comparison moves its bound, and turns round
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
CONDITIONS = (ast.If, ast.While, ast.IfExp)
REMOVED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Return, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Mutant:
    """One fault. `name` says where and what in the words of the source, so it outlives edits elsewhere in the file."""

    name: str
    code: CodeType


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text."""
    tree = ast.parse(source)
    seen: dict[str, int] = {}
    for place, statement, apply, revert in _faults(tree):
        before = _head(statement)
        undo = apply()
        name = f"{module}{place}: {before}  ->  {'nothing' if undo is _REMOVED else _head(statement)}"
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name += f"  #{seen[name]}"
        yield Mutant(name, compile(ast.fix_missing_locations(tree), f"<{name}>", "exec"))
        revert()


_REMOVED = object()
_Fault = tuple[str, ast.stmt, "Callable[[], object]", "Callable[[], None]"]


def _head(statement: ast.stmt) -> str:
    """The statement as one line, without what is indented below it."""
    return ast.unparse(statement).splitlines()[0].removesuffix(":")


def _faults(tree: ast.Module) -> Iterator[_Fault]:
    yield from _in_body(tree, tree.body, "")


def _in_body(owner: ast.AST, body: list[ast.stmt], place: str) -> Iterator[_Fault]:
    for index, statement in enumerate(body):
        if isinstance(statement, (ast.Import, ast.ImportFrom, ast.Pass, ast.Global)) or _is_docstring(statement):
            continue
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            yield from _in_body(statement, statement.body, f"{place}.{statement.name}")
            continue
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue
        removable = isinstance(statement, REMOVED) and not isinstance(owner, (ast.Module, ast.ClassDef))
        if removable and not (statement is body[-1] and isinstance(statement, ast.Return) and statement.value is None):

            def remove(body: list[ast.stmt] = body, index: int = index) -> object:
                body[index] = ast.copy_location(ast.Pass(), body[index])
                return _REMOVED

            yield place, statement, remove, lambda s=statement, b=body, i=index: b.__setitem__(i, s)  # type: ignore[misc]
        yield from _in_statement(statement, place)
        for name in ("body", "orelse", "finalbody"):
            yield from _in_body(statement, getattr(statement, name, []), place)
        for handler in getattr(statement, "handlers", []):
            yield from _in_body(handler, handler.body, place)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """The statement itself and its expressions; not nested statements, annotations or the texts of messages."""
    yield statement
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop(0)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "type_comment"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, (ast.expr, ast.comprehension, ast.keyword)) and not isinstance(
                    child, ast.JoinedStr
                ):
                    yield child
                    waiting.append(child)


def _in_statement(statement: ast.stmt, place: str) -> Iterator[_Fault]:
    for node in _expressions(statement):
        for target, key, value in _exchanges(node):
            old = target[key] if isinstance(target, list) else getattr(target, key)

            def put(new: Any, target: Any = target, key: Any = key) -> None:
                if isinstance(target, list):
                    target[key] = new
                else:
                    setattr(target, key, new)

            yield place, statement, lambda p=put, v=value: p(v), lambda p=put, o=old: p(o)  # type: ignore[misc]


def _exchanges(node: ast.AST) -> Iterator[tuple[Any, Any, Any]]:
    """(object or list, attribute or index, what to put there) for each fault in this one node."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in COMPARISONS[type(op)]:
                yield node.ops, i, other()
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC:
        yield node, "op", ARITHMETIC[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        yield node, "op", ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        for i in range(len(node.values)):
            yield node.values, i, ast.Constant(isinstance(node.op, ast.And))
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield node, "value", not node.value
        elif isinstance(node.value, int):
            yield node, "value", node.value + 1
            yield node, "value", node.value - 1
    elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield node, "value", ast.Constant(None)
    if isinstance(node, CONDITIONS) and not isinstance(node.test, ast.Constant):
        plain = isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not)
        yield node, "test", node.test.operand if plain else ast.UnaryOp(ast.Not(), node.test)  # type: ignore[attr-defined]
    for name, child in ast.iter_fields(node):
        if name == "test":
            continue
        if isinstance(child, list):
            yield from ((child, i, one.operand) for i, one in enumerate(child) if _is_turned(one))
        elif _is_turned(child):
            yield node, name, child.operand


def _is_turned(node: Any) -> bool:
    """Whether it is `-x` or `not x`."""
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not))
