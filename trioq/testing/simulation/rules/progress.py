"""What must happen in the end: a world in which nothing happens breaks no other rule."""

from __future__ import annotations

from collections.abc import Iterator

from ..history import History
from .lives import lives
from .reading import FINAL, end_of, runs, when


def everything_ends(history: History) -> Iterator[str]:
    """Once the faults have stopped, every job ends."""
    unfinished = [job.id for job in history.records.values() if job.state not in FINAL]
    if unfinished or not history.drained:
        yield f"{when(history, end_of(history))} not everything has ended: {', '.join(unfinished) or 'a client waits'}"


def a_lease_that_ran_out_is_noticed(history: History) -> Iterator[str]:
    """A job whose worker died is taken back within half a lease and two seconds of the end of its own lease.

    That needs another worker which for a lease has lived, reached the store, renewed in time, and not stood still.
    """
    known = lives(history)
    for (id, number), run in runs(history).items():
        for life in known.values():
            lease = life.worker.lease
            by = run.lease_until + lease / 2 + 2
            watches = life.process != run.process and life.draining > by and by < end_of(history)
            if watches and life.sure(run.lease_until - lease - 2, by) and (run.over is None or run.over.at > by):
                left = f"{id}, run {number}, lies with {run.process} since {when(history, run.lease_until).strip()}"
                yield f"{when(history, by)} {left}, and {life.process} has not noticed"
