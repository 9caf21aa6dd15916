"""Writes ``docs/spec/mutants.rst``: each mutant, what noticed it, and after how many examples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import attrs

from .catchers import Catch
from .mutant import Mutant

_PAGE: Final = """\
.. Written by ``python -m property_tests.mutants --write``.

Broken on purpose
=================

A test that has never failed proves little. So trioq is broken on purpose, in one place at a time, to see whether the
tests notice it. Each fault is a mistake that a maintainer could make, and most change one expression. An author who
had read the contract and the code, and not the properties, wrote the {blind} in the last table.

There are {all} faults, and each is noticed: {by_rules} by a property or a check of the contract, {by_tests} by an
ordinary test. Those tests need a thread, a full disk, a server, or a race that hundreds of worlds did not have.
:doc:`generated_mutants` has those that a tool makes.

The fastest tests run first. The table names one that notices the fault; others would have noticed it, too. A fault that
no test notices shows that a property is missing. The last column counts examples, checks, programs, worlds or tests up
to the one that failed.

``make mutants`` tries them all in copies of the tree. ``make mutants MUTANT=lease`` tries those with that word in their
sentence or their file.

{tables}"""

_TABLE: Final = """\
{part}
{line}

.. csv-table::
   :header: fault, in, noticed by, after
   :widths: 40, 24, 26, 10

{rows}
"""


@attrs.frozen
class Finding:
    """The result of trying a mutant."""

    part: str
    mutant: Mutant
    catch: Catch | None  #: None where it survived
    seconds: float
    trouble: str = ""  #: why a catcher could not run


def write_page(page: Path, findings: Sequence[Finding]) -> None:
    """Write the page about these: all mutants, none of which has survived."""
    numbers = dict(reversed(line.split()) for line in (page.parent / "numbers.txt").read_text("utf-8").splitlines())
    tables = [
        _TABLE.format(part=part, line="-" * len(part), rows="\n".join(_row(finding, numbers) for finding in group))
        for part, group in groupby(findings, lambda finding: finding.part)
    ]
    by_tests = sum(finding.catch is not None and finding.catch.of == "tests" for finding in findings)
    page.write_text(
        _PAGE.format(
            all=len(findings),
            blind=sum(finding.part == findings[-1].part for finding in findings),
            by_rules=len(findings) - by_tests,
            by_tests=by_tests,
            tables="\n".join(tables),
        ),
        encoding="utf-8",
    )


def _row(finding: Finding, numbers: dict[str, str]) -> str:
    mutant, catch = finding.mutant, finding.catch
    assert catch is not None
    number = numbers.get(catch.rule)
    by = f":ref:`{number} <{number}>`: {catch.by}" if number else catch.by
    after = f"{catch.examples:,} {catch.of if catch.examples > 1 else catch.of.removesuffix('s')}"
    return "   " + ", ".join(f'"{cell}"' for cell in (mutant.name, where(mutant), by, after))


def where(mutant: Mutant) -> str:
    """The file that a mutant changes, and the definition in it."""
    return f"``{mutant.file}`` {mutant.place}".strip()
