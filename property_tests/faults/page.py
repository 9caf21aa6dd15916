"""Writes the page of all experiments from the sums: ``docs/faults/matrix.rst``."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from io import StringIO
from textwrap import fill, indent
from typing import Final

from trioq.testing.simulation.rules import ANY

from .experiment import Experiment, quantile_name
from .result import Result, Samples
from .totals import FOLDER, Totals

#: The number of each rule in the specification.
_NUMBERS: Final = FOLDER.parent / "spec" / "numbers.txt"

_HEAD: Final = """\
.. Written by ``make faults``, and by ``make faults-full``.

The fault matrix
================

Real processes, on a real file or a real server, broken on purpose. ``make faults`` runs a sample of each experiment, in
about a quarter of an hour, and adds it to the sums on this page; ``make faults-full`` goes on until each has been run
often enough, can be broken off at any time, and goes on where it was. The servers are private ones.

{summary}

Each process notes what happens to it, in one file and with the times of one clock: asked to enqueue, answered, handler
began, handler ended, and whatever trioq tells. At the end that history and the records in the store are judged by the
rules of :doc:`the specification </spec/index>` that need no more than that. A trial that breaks one of them, or does
not end, is a violation, and stays in the sums.

{rules}

Experiments
-----------

After what is done stands the promise.

"""

_RESULTS: Final = """
Results
-------

*Faults* are what was done to processes and stores, *jobs* those whose enqueue was answered. Times are in seconds, with
three digits, on a machine with two cores that runs everything: workers, producers, servers and the judge.

.. csv-table::
   :header-rows: 1
   :widths: 20 12 6 6 8 34 14

   experiment,store,trials,faults,jobs,measured,result
"""


def write_page(totals: Totals, experiments: Sequence[Experiment]) -> None:
    """Write it."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "matrix.rst").write_text(page(totals, experiments))


def page(totals: Totals, experiments: Sequence[Experiment]) -> str:
    """What it says."""
    head = _HEAD.format(summary=_summary(totals, experiments), rules=_rules())
    rows = StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for each in experiments:
        results = totals.get(each.name, {})
        writer.writerows(_row(each, kind, results.get(kind, Result())) for kind in each.stores)
    return head + "".join(map(_told, experiments)) + _RESULTS + indent(rows.getvalue(), "   ") + _failures(totals)


def _summary(totals: Totals, experiments: Sequence[Experiment]) -> str:
    """All sums in a few lines."""
    everything = sum((each for kinds in totals.values() for each in kinds.values()), Result())
    missed = [
        f"`{label(each)}`_ on {kind}"
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


def _told(experiment: Experiment) -> str:
    """What is done, and the promise: one item of a list, which links lead to."""
    text = f"_`{label(experiment).capitalize()}`: {' '.join(experiment.told.split())} **{experiment.promise}**"
    return fill(text, 120, initial_indent="* ", subsequent_indent="  ", break_on_hyphens=False) + "\n"


def _row(experiment: Experiment, kind: str, result: Result) -> tuple[str, ...]:
    verdict = "not run yet" if not result.trials else "; ".join(experiment.missed(result)) or "kept"
    if verdict not in ("kept", "not run yet"):
        verdict = f"**missed**: {verdict}"
    name = f"`{label(experiment)}`_"
    return name, kind, f"{result.trials:,}", f"{result.faults:,}", f"{result.jobs:,}", _measured(result), verdict


def _failures(totals: Totals) -> str:
    """The first violations, in words."""
    words = [
        f"   {name}, {kind}: {text}"
        for name, kinds in totals.items()
        for kind, result in kinds.items()
        for text in result.words
    ]
    return "\n::\n\n" + "\n".join(words) + "\n" if words else ""


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
    """Where the specification has them."""
    numbers = {key: number for number, key in map(str.split, _NUMBERS.read_text(encoding="utf-8").splitlines())}
    links = ", ".join(sorted(":ref:`{0} <{0}>`".format(numbers[f"simulation.{rule.__name__}"]) for rule in ANY))
    return fill(f"There are {len(ANY)} of them: {links}.", 120, break_on_hyphens=False)


def label(experiment: Experiment) -> str:
    """What the pages refer to it by."""
    return experiment.name
