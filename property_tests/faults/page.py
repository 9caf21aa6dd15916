"""Writes the page of all experiments from the sums: ``docs/faults/matrix.rst``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import Final

from .experiment import Experiment, quantile_name
from .result import Result, Samples
from .rules import RULES
from .totals import FOLDER, Totals

_HEAD: Final = """\
.. Written by ``make faults``, and by ``make faults-full``.

The fault matrix
================

Real processes, on a real file or a real server, broken on purpose. ``make faults`` runs a sample of each experiment, in
about a quarter of an hour, and adds it to the sums on this page; ``make faults-full`` goes on until each has been run
often enough, can be broken off at any time, and goes on where it was. The servers are private ones.

{summary}

Each process notes what happens to it, in one file and with the times of one clock: asked to enqueue, answered, handler
began, handler ended, and whatever trioq tells. At the end that history and the records in the store are judged by
{rules} rules, which stand at the end of this page. A trial that breaks one of them, or does not end, is a violation,
and stays in the sums.

*Faults* are what was done to processes and stores, *jobs* those whose enqueue was answered. Times are in seconds, on
a machine with two cores that runs everything: workers, producers, servers and the judge.
"""

_TABLE: Final = """\
.. list-table::
   :header-rows: 1
   :widths: 18 9 9 9 37 18

   * - store
     - trials
     - faults
     - jobs
     - measured
     - result
"""


def write_page(totals: Totals, experiments: Sequence[Experiment]) -> None:
    """Write it."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "matrix.rst").write_text(page(totals, experiments))


def page(totals: Totals, experiments: Sequence[Experiment]) -> str:
    """What it says."""
    parts = [_HEAD.format(summary=_summary(totals, experiments), rules=len(RULES))]
    parts += [_section(each, totals.get(each.name, {})) for each in experiments]
    return "\n".join([*parts, _rules()])


def _summary(totals: Totals, experiments: Sequence[Experiment]) -> str:
    """All sums in a few lines."""
    everything = sum((each for kinds in totals.values() for each in kinds.values()), Result())
    missed = [
        f":ref:`{each.name} <{label(each)}>` on {kind}"
        for each in experiments
        for kind, result in totals.get(each.name, {}).items()
        if each.missed(result)
    ]
    kept = f"Missed: {', '.join(missed)}." if missed else "Every promise was kept."
    return fill(
        f"So far: {everything.trials:,} trials, {everything.jobs:,} jobs, {everything.faults:,} faults, among them "
        f"{everything.counts['processes killed']:,} processes killed. {everything.violations:,} violations. {kept}",
        120,
        break_on_hyphens=False,
    )


def _section(experiment: Experiment, results: dict[str, Result]) -> str:
    title = experiment.name[0].upper() + experiment.name[1:]
    rows = "".join(_row(experiment, kind, results.get(kind, Result())) for kind in experiment.stores)
    words = [f"   {kind}: {text}" for kind, result in results.items() for text in result.words]
    failures = "\n::\n\n" + "\n".join(words) + "\n" if words else ""
    promise = f"**{experiment.promise}**"
    head = f".. _{label(experiment)}:\n\n{title}\n{'-' * len(title)}"
    return f"{head}\n\n{experiment.told}\n\n{promise}\n\n{_TABLE}{rows}{failures}"


def _row(experiment: Experiment, kind: str, result: Result) -> str:
    verdict = "not run yet" if not result.trials else "; ".join(experiment.missed(result)) or "kept"
    if verdict not in ("kept", "not run yet"):
        verdict = f"**missed**: {verdict}"
    cells = (kind, f"{result.trials:,}", f"{result.faults:,}", f"{result.jobs:,}", _measured(result), verdict)
    return "".join(f"   {'* ' if not place else '  '}- {cell}\n" for place, cell in enumerate(cells))


def _measured(result: Result) -> str:
    """Each quantity in its quantiles, and what else was counted."""
    times = [f"{name} {_quantiles(samples)}" for name, samples in result.samples.items() if len(samples)]
    return "; ".join([*times, *_counted(result.counts)]) or "nothing"


def _quantiles(samples: Samples) -> str:
    quantiles = ", ".join(f"{quantile_name(share)} {samples.quantile(share):.3g}" for share in (0.5, 0.99, 1.0))
    return f"{quantiles} (of {len(samples):,})"


def _counted(counts: Counter[str]) -> Iterator[str]:
    for name, number in counts.items():
        yield f"{number:,} {name}"


def _rules() -> str:
    rows = "\n".join(f"* {(rule.__doc__ or '').strip()}" for rule in RULES)
    title = "The rules"
    return f"{title}\n{'-' * len(title)}\n\nEach is a function of ``property_tests/faults/rules.py``.\n\n{rows}\n"


def label(experiment: Experiment) -> str:
    """What the pages refer to it by."""
    return f"fault-{experiment.run.__name__.replace('_', '-')}"
