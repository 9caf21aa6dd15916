"""``make soak MINUTES=20``: new worlds, for so long; their number is added to a stored total.

The total, and the next seed, stand in ``docs/spec/soak.json``; the page beside it shows them.  A world that breaks a
rule ends the run, with a report.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import count, islice
from pathlib import Path
from typing import Final

import attrs

from property_tests.backends import OURS
from trioq.testing.simulation.history import Began, Died, Froze, History, Hurt, Inserted, Struck
from trioq.testing.simulation.seeds import check_seed

SPEC: Final = Path(__file__).parents[1] / "docs" / "spec"

#: The first seed: those below belong to the tests.
FIRST: Final = 100_000

#: Seeds that a process gets at a time; each makes a world for each backend.
BATCH: Final = 20

DAY: Final = 24 * 3600


@attrs.frozen(kw_only=True)
class Total:
    """What has been simulated so far."""

    next_seed: int = FIRST
    histories: int = 0
    jobs: int = 0
    runs: int = 0
    crashes: int = 0
    freezes: int = 0
    failed_calls: int = 0
    other_faults: int = 0
    seconds: int = 0

    @classmethod
    def stored(cls) -> Total:
        file = SPEC / "soak.json"
        return cls(**json.loads(file.read_text())) if file.exists() else cls()

    def store(self) -> None:
        (SPEC / "soak.json").write_text(json.dumps(attrs.asdict(self), indent=4) + "\n")
        (SPEC / "soak.rst").write_text(page(self))


def page(total: Total) -> str:
    """What the docs show."""
    rows = {
        "histories": f"{total.histories:,}",
        "jobs that lived in them": f"{total.jobs:,}",
        "runs of their handlers": f"{total.runs:,}",
        "workers that were killed": f"{total.crashes:,}",
        "workers that were frozen": f"{total.freezes:,}",
        "calls that failed, or were slow": f"{total.failed_calls:,}",
        "other faults: partitions, restarts, hints, clocks": f"{total.other_faults:,}",
        "simulated time": f"{total.seconds / DAY:,.1f} days ({total.seconds / DAY / 365.25:.3f} years)",
    }
    table = "\n".join(f"   * - {name}\n     - {value}" for name, value in rows.items())
    return _PAGE.format(table=table)


_PAGE: Final = """\
.. Written by ``make soak``.

How far it was tried
====================

``make soak MINUTES=20`` simulates worlds that are new, over each backend in turn, and adds them to this total.
None of them broke a rule of its day. Those that did, and what was mended, are in :doc:`found`.

.. list-table::
   :widths: 60 40

{table}

CI repeats the first 60 seeds on each backend, ``make test`` the first 15. A world can be repeated by its
seed: ``python -m trioq.testing.simulation 4711``. One seed makes another history over another backend.
"""


def soak(minutes: float, processes: int) -> int:
    """The exit code: 1 where a world broke a rule."""
    total, deadline = Total.stored(), time.monotonic() + minutes * 60
    seeds, before = count(total.next_seed), total.histories
    print(
        f"for {minutes:g} minutes from seed {total.next_seed}, on {processes} processes; adds to {SPEC / 'soak.json'}"
    )
    with ProcessPoolExecutor(processes) as pool:
        while time.monotonic() < deadline:
            batches = [list(islice(seeds, BATCH)) for _ in range(4 * processes)]
            try:
                tally = sum((each.result() for each in as_completed(pool.submit(_try, b) for b in batches)), Counter())
            except AssertionError as error:
                pool.shutdown(cancel_futures=True)
                print(error)
                return 1
            total = attrs.evolve(
                total,
                next_seed=batches[-1][-1] + 1,
                **{name: getattr(total, name) + more for name, more in tally.items()},
            )
            total.store()
            print(f"\r{total.histories - before:,} histories now, {total.histories:,} in all", end="", flush=True)
    print()
    return 0


def _try(seeds: list[int]) -> Counter[str]:
    """What happened in the worlds of these seeds."""
    return sum((_count(check_seed(seed, make)) for seed in seeds for make in OURS.values()), Counter[str]())


def _count(history: History) -> Counter[str]:
    return Counter(
        histories=1,
        jobs=len(history.all(Inserted)),
        runs=len(history.all(Began)),
        crashes=len(history.all(Died)),
        freezes=len(history.all(Froze)),
        failed_calls=len(history.all(Hurt)),
        other_faults=len(history.all(Struck)),
        seconds=round(history.entries[-1].at - history.began),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    return soak(arguments.minutes, arguments.processes)


if __name__ == "__main__":
    sys.exit(main())
