"""Makes the page of all figures from the stored results: ``docs/benchmarks/results.rst``, a line for each contender."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import indent
from typing import Final

from .contenders import CONTENDERS, Contender
from .results import Results, Spread
from .workloads import WORKLOADS, Workload

FOLDER: Final = Path(__file__).parent.parent / "docs" / "benchmarks"
RESULTS: Final = FOLDER / "results.jsonl"
PAGE: Final = FOLDER / "results.rst"

_HEAD: Final = """\
.. Written by ``make bench``.

All figures
===========

Measured in one run, in {rounds} rounds: in each, every contender is given each workload, in turn.
A figure is the median of the rounds; :download:`results.jsonl` has a line for each trial. *trioq is* says how many
times better trioq on the same store does in the same round: the median of these ratios, and in brackets the lowest and
the highest, where there are several. **More than 1 is better for trioq**, whatever is measured; the last column
compares what its head names. CPU is that of the process and of the server's processes, memory what the workers'
processes had at most, or what one has that does nothing. In each trial every job was checked to have run exactly once;
of a million, that none ran twice.

The machine: {machine}.

{stores}
"""


def page(results: Results) -> str:
    """What it says."""
    rounds = 1 + max(each.round for each in results.trials)
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    stores = "\n".join(f"- {name}: {told}." for name, told in results.stores.items())
    head = _HEAD.format(rounds=rounds, machine=machine, stores=stores)
    return "\n".join([head, *(_figures(results, workload) for workload in WORKLOADS), _who(results)])


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of the page, one line a row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    first, _, rest = text.getvalue().partition("\n")
    return f".. csv-table:: {title}\n   :header: {first}\n\n{indent(rest, '   ')}"


def _figures(results: Results, workload: Workload) -> str:
    """What all contenders came to.  Each is compared with trioq on the same store, which stands above it."""
    there = [each for each in CONTENDERS if each.store in workload.stores and _has(results, workload, each)]
    columns = _columns(results, workload, there)
    head = ["on", "", *columns, f"trioq is, by {workload.figure}"]
    rows = (_row(results, workload, each, columns) for each in there)
    return _table(f"**{workload.name[0].upper()}{workload.name[1:]}.** {workload.told}", head, rows)


def _has(results: Results, workload: Workload, contender: Contender) -> bool:
    seen = any(results.of(workload.name, contender.name)) or results.failed(workload.name, contender.name)
    return bool(seen or results.unsupported(workload.name, contender.name))


def _columns(results: Results, workload: Workload, contenders: list[Contender]) -> list[str]:
    """What was measured of any of them."""
    measured = (each.figures for one in contenders for each in results.of(workload.name, one.name))
    return list(dict.fromkeys(name for figures in measured for name in figures))


def _row(results: Results, workload: Workload, contender: Contender, columns: list[str]) -> list[str]:
    cells = [_cell(results.spread(workload.name, contender.name, each)) for each in columns]
    compared = results.unsupported(workload.name, contender.name) or _compared(better(results, workload, contender))
    failed = results.failed(workload.name, contender.name)
    compared += f" **failed in {failed} rounds**" if failed else ""
    return [contender.store, contender.name, *cells, compared.strip()]


def better(results: Results, workload: Workload, contender: Contender) -> Spread | None:
    """How many times better trioq does on the same store; None for itself, and where one of the two has no figure."""
    [ours] = [each for each in CONTENDERS if each.is_trioq and each.store == contender.store]
    ratio = results.ratio(workload.name, ours.name, contender.name, workload.figure)
    if ratio is None or contender is ours or workload.more_is_better:
        return None if contender is ours else ratio
    return Spread(tuple(1 / each for each in ratio.values if each)) if any(ratio.values) else None


def _cell(spread: Spread | None) -> str:
    return "" if spread is None else number(spread.median)


def _compared(ratio: Spread | None) -> str:
    if ratio is None:
        return ""
    low, high = ratio.ends
    spread = f" ({number(low)} to {number(high)})" if len(ratio.values) > 1 else ""
    return f"**{number(ratio.median)}**{spread}"


def number(value: float) -> str:
    """With as many digits as mean something."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"


def _who(results: Results) -> str:
    """The contenders, their versions and settings, and the share of the jobs that they are given: to keep it short."""
    rows = ([each.name, _versions(results, each), each.settings, f"{each.pace:.0%}"] for each in CONTENDERS)
    return _table("**Who was measured.**", ["name", "versions", "settings", "of the jobs"], rows)


def _versions(results: Results, contender: Contender) -> str:
    if contender.name in results.missing:
        return "not installed: " + results.missing[contender.name].splitlines()[-1].replace("`", "'")
    return ", ".join(" ".join(pair) for pair in results.versions.get(contender.name, {}).items())
