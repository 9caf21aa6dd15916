"""Try every mutant that a tool makes of the pure core: ``python -m property_tests.mutants.generated [word ...]``.

Words pick the mutants whose module, place or lines contain one of them.  Exit code 1 where one survives that
``equivalent`` does not list, or one that it lists is noticed, or is no longer made.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import indent
from typing import Final

from .equivalent import EQUIVALENT, Key
from .forks import ASKED, Finding, preload, tried
from .made import Generated, mutants_of

ROOT: Final = Path(__file__).resolve().parents[3]
SOURCES: Final = {module: ROOT / "trioq" / "_core" / f"{module}.py" for module in ASKED}
PAGE: Final = ROOT / "docs" / "spec" / "generated_mutants.rst"

_LISTED: Final = {key for keys in EQUIVALENT.values() for key in keys}


def require_green() -> None:
    """Exit where the properties find fault with a module as it is: they can't be asked about mutants."""
    unchanged = (Generated(name, "", "", "", source.read_text(encoding="utf-8")) for name, source in SOURCES.items())
    for finding in tried(unchanged):
        if finding.by is not None:
            raise SystemExit(f"{finding.mutant.module} is not changed yet, and it is noticed by: {finding.by}")


def picked(words: Sequence[str]) -> Iterator[Generated]:
    """The mutants that a word picks; all of them where there is none."""
    for source in SOURCES.values():
        for mutant in mutants_of(source):
            if not words or any(word.lower() in " ".join(mutant.key).lower() for word in words):
                yield mutant


def complaints(mutants: Iterable[Generated], findings: list[Finding], *, whole: bool) -> Iterator[str]:
    """Try them, add what is found to *findings*, and say where a property is missing, or a reason is none any more."""
    for finding in tried(mutants):
        findings.append(finding)
        if len(findings) % 100 == 0:
            print(f"{len(findings)} tried", flush=True)  # noqa: T201 - it is a script
        key = finding.mutant.key
        if finding.by is None and key not in _LISTED:
            yield f"SURVIVED: {_shown(key)}"
        if finding.by is not None and key in _LISTED:
            yield f"Listed as equivalent, but noticed by {finding.by!r}: {_shown(key)}"
    if whole:
        for key in sorted(_LISTED - {finding.mutant.key for finding in findings}):
            yield f"Listed as equivalent, but no longer made: {_shown(key)}"


def _shown(key: Key) -> str:
    module, where, right, wrong = key
    return f"{module}, {where or 'outside of all functions'}\n- {right}\n+ {wrong}"


def page(findings: Sequence[Finding]) -> str:
    """The page of the documentation."""
    made = Counter(finding.mutant.module for finding in findings)
    survived = Counter(finding.mutant.module for finding in findings if finding.by is None)
    rows = [("module", "made", "noticed", "equivalent")]
    rows += [(f"``trioq/_core/{name}.py``", made[name], made[name] - survived[name], survived[name]) for name in made]
    table = "".join(f"   * - {row[0]}\n" + "".join(f"     - {cell}\n" for cell in row[1:]) for row in rows)
    parts = [_INTRODUCTION, f".. list-table::\n   :header-rows: 1\n\n{table}", _EQUIVALENT]
    for reason, keys in EQUIVALENT.items():
        diffs = "\n\n".join(f"# {_shown(key)}" for key in keys)
        parts += [reason, f".. code-block:: diff\n\n{indent(diffs, '   ')}"]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


_INTRODUCTION: Final = """\
.. Written by ``make mutmut``.

Generated mutants
=================

People wrote the faults of :doc:`mutants`. A tool makes these: `mutmut`_ changes one place after the other in the state
machine and in the backoffs, wherever there is something to change: ``<`` becomes ``<=``, ``+`` becomes ``-``,
a number becomes the next one, an argument becomes ``None`` or is left out. To these come a few that it doesn't make: an
entry of a dict is left out, ``None`` is returned, a state or an event becomes another, a statement is left out. mutmut
itself changes functions only; here the whole module is changed, with the table and the defaults.

Each mutant is tried on the pure properties, which are the rules of :doc:`lifecycle`. ``make mutmut`` does it again.

.. _mutmut: https://mutmut.readthedocs.io"""

_EQUIVALENT: Final = """\
Equivalent ones
---------------

No property can notice these, and here is why. The run fails where another one survives, and where one of these does
not."""


def main() -> None:
    """Try the mutants that the command line names, and write the page if it says so."""
    parser = argparse.ArgumentParser(prog="python -m property_tests.mutants.generated", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="word")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}; takes no word")
    options = parser.parse_args()
    if options.write and options.words:
        parser.error("the page is about all mutants: --write takes no word")
    if not any(True for _ in picked(options.words)):
        parser.error("no mutant has such a word")
    begun = time.monotonic()
    preload()
    require_green()
    findings: list[Finding] = []
    wrong = 0
    for text in complaints(picked(options.words), findings, whole=not options.words):
        wrong += 1
        print(text, flush=True)  # noqa: T201 - likewise
    noticed = sum(finding.by is not None for finding in findings)
    print(f"{len(findings)} mutants, {noticed} noticed, {time.monotonic() - begun:.0f} s")  # noqa: T201 - likewise
    if options.write and not wrong:
        PAGE.write_text(page(findings), encoding="utf-8")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
