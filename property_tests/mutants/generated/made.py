"""The mutants that mutmut makes of a module, and a few more.  Who tries them is ``forks``.

mutmut's own run changes functions only, so it would leave out the table of the state machine, the defaults of the
backoffs and whatever is decorated.  Here its visitor and its operators change the whole file, one place at a time.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs
import libcst as cst
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

from trioq._core import events
from trioq._core.job import State

from .equivalent import Key


@attrs.frozen
class Generated:
    """A module with one change in it."""

    module: str
    where: str  #: the function or class that it is in
    right: str  #: the lines that it changes
    wrong: str  #: what stands there instead
    code: str  #: the whole module

    @property
    def key(self) -> Key:
        """What it is known by, wherever its lines stand."""
        return self.module, self.where, self.right, self.wrong


# --- operators of our own -----------------------------------------------------------------------


def _drop_entries(node: cst.Dict | cst.Set) -> Iterator[cst.CSTNode]:
    for dropped in node.elements:
        kept = [each for each in node.elements if each is not dropped]
        if kept:  # `{}` is no set
            yield node.with_changes(elements=kept)


def _return_none(node: cst.Return) -> Iterator[cst.CSTNode]:
    if node.value is not None and not node.value.deep_equals(_NONE):
        yield node.with_changes(value=_NONE)


def _another_member(node: cst.Attribute) -> Iterator[cst.CSTNode]:
    """The next state, and the next event of a job: what a typing error in the table would make."""
    if isinstance(node.value, cst.Name) and (other := _NEXT.get(f"{node.value.value}.{node.attr.value}")):
        yield node.with_changes(attr=cst.Name(other))


def _drop_statement(node: cst.SimpleStatementLine) -> Iterator[cst.CSTNode]:
    statement = node.body[0]
    if isinstance(statement, cst.Raise | cst.Assign | cst.Assert):
        yield node.with_changes(body=[cst.Pass()])


def _round(names: Iterable[str]) -> dict[str, str]:
    first, *others = names
    return dict(pairwise([first, *others, first]))


_NONE: Final = cst.Name("None")
_EVENTS: Final = [name for name, kind in vars(events).items() if getattr(kind, "__base__", None) is events.JobEvent]
_NEXT: Final = {
    f"{owner}.{name}": other
    for owner, names in (("State", State.__members__), ("events", _EVENTS))
    for name, other in _round(names).items()
}
_OPERATORS: Final = (
    *mutation_operators,
    ((cst.Dict, cst.Set), _drop_entries),
    (cst.Return, _return_none),
    (cst.Attribute, _another_member),
    (cst.SimpleStatementLine, _drop_statement),
)


# --- all of a module ----------------------------------------------------------------------------


class _Everywhere(MutationVisitor):
    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        # mutmut skips decorated functions: it would have to decorate each of its copies.  Decorators stay as they are.
        return not isinstance(node, cst.FunctionDef) and super()._skip_node_and_children(node)


def mutants_of(source: Path) -> Iterator[Generated]:
    """Each mutant once, in the order of the file."""
    code = source.read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(code))
    visitor = _Everywhere(_OPERATORS, IgnoredCode(set(), set(), set()))
    wrapper.visit(visitor)
    places = list(_places(ast.parse(code)))
    seen = {ast.dump(ast.parse(code))}
    for mutation in visitor.mutations:
        changed = wrapper.module.deep_replace(mutation.original_node, mutation.mutated_node).code
        meaning = ast.dump(ast.parse(changed))
        if meaning not in seen:
            seen.add(meaning)
            line, right, wrong = _difference(code.splitlines(), changed.splitlines())
            where = next((name for lines, name in places if line in lines), "")
            yield Generated(source.stem, where, right, wrong, changed)


def _places(tree: ast.Module) -> Iterator[tuple[range, str]]:
    """The lines of each function and class; what is inside comes first."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            yield from ((inner, f"{node.name}.{name}") for inner, name in _places(ast.Module(node.body, [])))
            yield lines, node.name


def _difference(before: list[str], after: list[str]) -> tuple[int, str, str]:
    """The first line that changed, what stood there, and what stands there now."""
    matches = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    hunks = [hunk for hunk in matches if hunk[0] != "equal"]
    right = [line.strip() for _, start, end, _, _ in hunks for line in before[start:end]]
    wrong = [line.strip() for _, _, _, start, end in hunks for line in after[start:end]]
    return hunks[0][1] + 1, " ".join(right), " ".join(wrong)
