"""What a history says of records, runs and handlers.  All rules ask this; it judges nothing.

What many rules ask is computed once for a history.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import inf
from typing import Any, Final

import attrs

from ...._core.events import JobEvent
from ...._core.job import Job
from ..history import (
    STORE,
    Began,
    Claimed,
    Died,
    Ended,
    Entry,
    History,
    Inserted,
    Renewed,
    SimulatedHistory,
    Stored,
    Told,
)
from ..plan import JobSpec, RunSpec

#: Seconds for what happens at once: a few calls that nothing delays.
SOON: Final = 1.0

#: Seconds by which a stored time may be off: a store may keep microseconds, and sums of times err by less.  It is less
#: than a thousandth of a tick of a plan.
ROUNDING: Final = 1e-5

#: The events by which a worker tells how a handler has ended, or that it has lost its job.
_OUTCOMES: Final = tuple(f"job:{end}" for end in "completed retrying snoozed failed cancelled lost".split())

#: The states that only a requeue leaves.
FINAL: Final = ("completed", "failed", "expired", "cancelled")


def when(history: History, at: float) -> str:
    """A time of the store, as reports print it."""
    return f"{at - history.began:9.3f}"


def process_of(worker: str | None) -> str:
    """The process that claims under this identity: a name, and a random part."""
    return "" if worker is None else worker.rpartition(":")[0]


def same(one: object, other: object) -> bool:
    """Whether two stored values are equal, but for what a store rounds off a time."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= ROUNDING
    return one == other


def end_of(history: History) -> float:
    """When the last thing happened."""
    return max((entry.at for entry in history.entries if not isinstance(entry, Told)), default=history.began)


def job_specs(history: SimulatedHistory) -> dict[str, JobSpec]:
    """What was to be enqueued, by id."""
    return {spec.id: spec for spec in history.plan.job_specs}


# --- the store ----------------------------------------------------------------------------------


def states(history: History) -> Iterator[tuple[int, Entry, dict[str, Job]]]:
    """Each entry, with its number and the records before it.  The dict is one and the same, and goes on."""
    records: dict[str, Job] = {}
    for number, entry in enumerate(history.entries):
        yield number, entry, records
        if isinstance(entry, (Inserted, Claimed, Stored, Renewed)):
            records[entry.job.id] = entry.job


def snapshots(history: History) -> Iterator[tuple[float, str, Job]]:
    """Each record that the store was seen to have, at its time and by its writer; those of the end are the last."""
    last: dict[str, Job] = {}
    for entry in history.entries:
        if isinstance(entry, (Inserted, Claimed, Stored, Renewed)):
            last[entry.job.id] = entry.job
            yield entry.at, entry.by, entry.job
    end = end_of(history)
    for job in history.records.values():
        if last.get(job.id) != job:
            yield end, STORE, job


def told_of_jobs(history: History) -> Iterator[tuple[Told, JobEvent]]:
    """What was told of jobs, in order."""
    for entry in history.all(Told):
        if isinstance(entry.event, JobEvent):
            yield entry, entry.event


def outcomes_told(history: History) -> set[tuple[str, str, int]]:
    """The runs of which a worker told how they ended, or that it has lost the job: its name, the job's id, the run."""
    return {(told.by, event.job.id, event.run) for told, event in told_of_jobs(history) if event.name in _OUTCOMES}


def is_reclaim(entry: Stored) -> bool:
    """Whether the step takes a job from a worker that is taken for dead."""
    return entry.change.event.name == "job:stalled" or entry.job.crashes > entry.before.crashes


def is_last_life(job: Job) -> bool:
    """Whether one more crash ends the job."""
    return job.crashes >= job.max_crashes - 1


@attrs.define
class Run:
    """One claim of a job, and how it ended in the store."""

    claimed: Claimed
    first: int  #: its number among the entries
    renewed: list[float]
    over: Stored | None = None  #: the step that ended it
    last: float = inf  #: the number of that

    @property
    def process(self) -> str:
        """The process that holds it."""
        return process_of(self.claimed.job.worker)

    @property
    def lease_until(self) -> float:
        """When the lease ran out, or would have, had it not ended before."""
        return self.renewed[-1] if self.renewed else self.claimed.job.lease_until or self.claimed.at


@lru_cache(maxsize=1)
def runs(history: History) -> dict[tuple[str, int], Run]:
    """Every claim, by the job's id and run."""
    found: dict[tuple[str, int], Run] = {}
    for number, entry in enumerate(history.entries):
        match entry:
            case Claimed(job=job):
                found[job.id, job.run] = Run(entry, number, [])
            case Renewed(job=job) if (job.id, job.run) in found and job.lease_until is not None:
                found[job.id, job.run].renewed.append(job.lease_until)
            case Stored(before=before) if before.state == "active" and (before.id, before.run) in found:
                run = found[before.id, before.run]
                if run.over is None:
                    run.over, run.last = entry, number
    return found


def was_lost(run: Run | None, number: float) -> bool:
    """Whether the job had been cancelled, or taken away, by this entry."""
    if run is None or run.over is None or run.last > number:
        return False
    return is_reclaim(run.over) or run.over.change.event.name == "job:cancelled"


# --- handlers -----------------------------------------------------------------------------------


@attrs.define
class Handler:
    """One run of a handler."""

    began: Began
    first: int  #: its number among the entries
    last: float = inf  #: the number of its end, which may be that of its process
    until: float = inf  #: when that was
    how: str = "goes on"  #: as `Ended` says, or "died"
    returned: Any = None  #: likewise

    @property
    def key(self) -> tuple[str, int]:
        """The job's id, and its run."""
        return self.began.job.id, self.began.job.run

    @property
    def timed_out(self) -> bool:
        """Whether it took as long as its job's timeout, or longer."""
        timeout = self.began.job.timeout
        return timeout is not None and self.until - self.began.at >= timeout - ROUNDING

    def overlaps(self, other: Handler) -> bool:
        """Whether both are under way at once."""
        return self.first < other.last and other.first < self.last


@lru_cache(maxsize=1)
def handlers(history: History) -> list[Handler]:
    """All of them, in the order in which they began."""
    found: list[Handler] = []
    under_way: dict[tuple[str, str, int], Handler] = {}
    for number, entry in enumerate(history.entries):
        match entry:
            case Began(by=by, job=job, nth_run=nth_run):
                under_way[by, job.id, nth_run] = Handler(entry, number)
                found.append(under_way[by, job.id, nth_run])
            case Ended(by=by, job=job, nth_run=nth_run) if (by, job.id, nth_run) in under_way:
                handler = under_way.pop((by, job.id, nth_run))
                handler.returned = entry.returned
                _end(handler, number, entry.at, entry.how)
            case Died(by=by):
                for key in [key for key in under_way if key[0] == by]:
                    _end(under_way.pop(key), number, entry.at, "died")
    return found


def _end(handler: Handler, number: int, at: float, how: str) -> None:
    handler.last, handler.until, handler.how = number, at, how


def run_spec_of(history: SimulatedHistory, handler: Handler) -> RunSpec:
    """What the handler was to do."""
    spec = job_specs(history).get(handler.began.job.id)
    nth_run = handler.began.nth_run
    return spec.runs[nth_run] if spec is not None and nth_run < len(spec.runs) else RunSpec()
