"""Writes ``docs/spec/mutants.rst``: each mutant, who noticed it, and after how many examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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

A test that has never failed proves little. So trioq is broken on purpose, in one place at a time, and the specification
is asked whether it notices. Each fault is a mistake that somebody could make, and most change a line or two. The
{blind} in the last table were written by somebody who had read the contract and the code, and had not seen the
properties. They are kept as they came; where the code has changed since, they were made in what it is now.

There are {all} faults, and each is noticed: {by_rules} by a property, and {by_tests} by an ordinary test. Those need a
thread, a disk that is full, a server or a call that no world makes, or a race that hundreds of worlds did not have.

Whoever is quick is asked first, and whoever notices a fault first is named; others would have noticed it as well. A
fault that nobody notices is a property that is missing. What is counted are the examples of a property, the checks of
the contract, the random programs, the simulated worlds or the corners, up to the one that failed.

``make mutants`` does all of it again, in a copy, and takes about half an hour on two cores. ``make mutants
MUTANT=lease`` tries those with that word in their sentence or their file.

{tables}"""

_HEADER: Final = """\
.. list-table::
   :header-rows: 1
   :widths: 44 16 30 10

   * - fault
     - in
     - noticed by
     - after
"""


@attrs.frozen
class Finding:
    """What became of a mutant."""

    part: str
    mutant: Mutant
    catch: Catch | None  #: None where it survived
    seconds: float
    trouble: str = ""  #: why nobody could be asked


def write_page(page: Path, findings: Sequence[Finding]) -> None:
    """Write the page about these: all mutants, none of which has survived."""
    numbers = dict(reversed(line.split()) for line in (page.parent / "numbers.txt").read_text("utf-8").splitlines())
    tables = [
        f"{part}\n{'-' * len(part)}\n\n{_HEADER}{''.join(_rows(group, numbers))}"
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


def _rows(findings: Iterable[Finding], numbers: dict[str, str]) -> Iterator[str]:
    for finding in findings:
        mutant, catch = finding.mutant, finding.catch
        assert catch is not None
        number = numbers.get(catch.rule)
        by = f":ref:`{number} <{number}>`: {catch.by}" if number else catch.by
        after = f"{catch.examples:,} {catch.of if catch.examples > 1 else catch.of.removesuffix('s')}"
        yield f"   * - {mutant.name}\n     - ``{mutant.file}``\n     - {by}\n     - {after}\n"
