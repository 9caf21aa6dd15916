"""Replace code in a Python file: found by the name of its definition and compared as syntax, not as text."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from textwrap import dedent
from typing import Final

#: Where statements stand that may or may not be reached: a definition in one of them has the name that it has outside.
_BLOCKS: Final = (ast.If, ast.Try, ast.With)

#: Puts nodes in the place of others.
_Site = Callable[[Sequence[ast.AST]], None]


def replace(text: str, place: str, right: str, wrong: str) -> str:
    """The file with *wrong* for *right*, which stands once in the definition; LookupError says why it can't be."""
    module = ast.parse(text)
    old, new = _nodes(right, wrong)
    sites = list(_sites(_definition(module, place), old))
    if len(sites) != 1:
        raise LookupError(f"{right!r} is there {len(sites)}x")
    sites[0](new)
    return ast.unparse(ast.fix_missing_locations(module)) + "\n"


def _nodes(right: str, wrong: str) -> tuple[Sequence[ast.AST], Sequence[ast.AST]]:
    """Both as expressions where both are one, else as statements: "" is a statement that does nothing."""
    old, new = _statements(right), _statements(wrong)
    match old, new:
        case [ast.Expr(before)], [ast.Expr(after)]:
            return [before], [after]
    return old, new or [ast.Pass()]


def _statements(code: str) -> list[ast.stmt]:
    return ast.parse(dedent(code)).body


def _definition(module: ast.Module, place: str) -> ast.AST:
    """The function, class or constant of that name."""
    scope: ast.AST = module
    for name in place.split(".") if place else ():
        found = [node for node in _members(scope) if name in _names(node)]
        if len(found) != 1:
            raise LookupError(f"{name!r} is defined {len(found)}x")
        scope = found[0]
    return scope


def _members(scope: ast.AST) -> Iterator[ast.AST]:
    """The statements directly in it, and in its blocks."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if isinstance(node, _BLOCKS):
            yield from _members(node)


def _names(node: ast.AST) -> Sequence[str]:
    match node:
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            return [name]
        case ast.AnnAssign(ast.Name(name)):
            return [name]
        case ast.Assign(targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def _sites(scope: ast.AST, old: Sequence[ast.AST]) -> Iterator[_Site]:
    """Each place in it where these nodes stand, one after the other."""
    for parent in ast.walk(scope):
        for field, value in ast.iter_fields(parent):
            if isinstance(value, list):
                for start in range(len(value) - len(old) + 1):
                    part = slice(start, start + len(old))
                    if all(map(_same, value[part], old)):
                        yield partial(value.__setitem__, part)
            elif len(old) == 1 and _same(value, old[0]):
                yield lambda new, parent=parent, field=field: setattr(parent, field, new[0])


def _same(one: object, other: ast.AST) -> bool:
    return isinstance(one, type(other)) and ast.dump(one) == ast.dump(other)
