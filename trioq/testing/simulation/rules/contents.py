"""What a run leaves in its record: what its handler returned, raised, reported and asked for, by the plan."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from math import inf
from typing import Any, Final

from ...._core.job import Job
from ..history import Began, Claimed, History, Inserted, Renewed, SimulatedHistory, Stored
from ..network import SLOW
from ..plan import Does, JobSpec, RunSpec
from .lives import Life, lives
from .reading import ROUNDING, Handler, handlers, is_reclaim, job_specs, run_spec_of, same, snapshots, when

#: What handlers report halfway, all but those that hang.
HALFWAY: Final = {"fraction": 0.5}

#: The last line of the error of a handler that has ended so.
_RAISED: Final = {
    "raised": "ValueError: as planned",
    "retry": "Retry: the handler asked for a retry",
    "rejected": "Reject: as planned",
}


def a_result_is_what_was_returned(history: History) -> Iterator[str]:
    """The result of a completed job is what the handler of its last run returned."""
    returned: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)
    for handler in handlers(history):
        if handler.how == "returned":
            returned[handler.key].append(handler.returned)
    for at, by, job in snapshots(history):
        values = returned[job.id, job.run]
        if job.state == "completed" and not any(_is_result(job, value) for value in values):
            what = f"stores the result {job.result!r} of {job.id}, run {job.run}, which returned {values or 'nothing'}"
            yield f"{when(history, at)} {by} {what}"


def _is_result(job: Job, returned: Any) -> bool:
    return returned is None or job.result == json.dumps(returned).encode()


def an_error_says_what_went_wrong(history: History) -> Iterator[str]:
    """The error of a failed run ends with what its handler raised, or names its timeout or the worker that was lost."""
    begun = {handler.key: handler for handler in handlers(history)}
    for entry in history.all(Stored):
        if entry.change.event.name not in ("job:retrying", "job:failed"):
            continue
        error, says = entry.job.error or "", _errors(entry, begun.get((entry.job.id, entry.job.run)))
        if not any(each in error.rpartition("\n")[2] for each in says):
            what = f"stores the error {error!r} of {entry.job.id}, and not {' or '.join(says) or 'none'}"
            yield f"{when(history, entry.at)} {entry.by} {what}"


def _errors(failed: Stored, handler: Handler | None) -> list[str]:
    """What the error may say."""
    if is_reclaim(failed):
        return [f"the lease of worker {failed.before.worker} ran out"]
    if handler is None:
        return []
    says = [_RAISED[handler.how]] if handler.how in _RAISED else []
    timeout = handler.began.job.timeout or 0.0
    return [*says, f"TimedOut: the handler took longer than its timeout of {timeout:g} s"][: 1 + handler.timed_out]


def progress_is_what_was_reported(history: SimulatedHistory) -> Iterator[str]:
    """The progress of a job is what its handlers have reported since it was enqueued or requeued, and not before.

    A run that is settled as its handler ended stores the last report with that.
    """
    begun = {handler.key: handler for handler in handlers(history)}
    since: dict[str, float] = {}  # when a handler can have reported something, at the earliest
    for entry in history.entries:
        match entry:
            case Began(job=job):
                since[job.id] = min(since.get(job.id, inf), _halfway(history, begun[job.id, job.run]))
            case Inserted(job=job) | Claimed(job=job) | Renewed(job=job) | Stored(job=job):
                if isinstance(entry, Stored) and entry.change.event.name == "job:requeued":
                    since.pop(job.id, None)
                may: list[object] = [None, HALFWAY] if entry.at >= since.get(job.id, inf) - ROUNDING else [None]
                if isinstance(entry, Stored) and _says_how_it_ended(entry, begun.get((job.id, job.run))):
                    may = [HALFWAY]
                if job.progress not in may:
                    what = f"leaves {job.id} with the progress {job.progress}, and not {' or '.join(map(str, may))}"
                    yield f"{when(history, entry.at)} {entry.by} {what}"


def _halfway(history: SimulatedHistory, handler: Handler) -> float:
    run_spec = run_spec_of(history, handler)
    return inf if run_spec.does is Does.HANG else handler.began.at + run_spec.after / 2


def _says_how_it_ended(entry: Stored, handler: Handler | None) -> bool:
    """Whether the worker that ran it stores how its handler ended of itself."""
    finished = handler is not None and handler.how in ("returned", "snooze", *_RAISED)
    by_another = entry.change.event.name == "job:cancelled" or is_reclaim(entry)
    return finished and entry.before.state == "active" and not by_another


def a_delay_is_as_asked(history: SimulatedHistory) -> Iterator[str]:
    """A job that failed or snoozed comes due as long after its run as its handler asked, or as its backoff says.

    Nothing else but a requeue changes when it is due.
    """
    begun, known, ordered = {handler.key: handler for handler in handlers(history)}, lives(history), job_specs(history)
    for entry in history.all(Stored):
        job, kind = entry.job, entry.change.event.name
        if kind not in ("job:retrying", "job:snoozed"):
            if kind != "job:requeued" and not same(job.run_at, entry.before.run_at):
                yield f"{when(history, entry.at)} {entry.by} moves {job.id} to {when(history, job.run_at).strip()}"
            continue
        handler, life = begun.get((job.id, job.run)), known.get(entry.by)
        if handler is None or life is None:
            continue
        shortest, longest = _delays(entry, handler, ordered[job.id], run_spec_of(history, handler))
        slack = _wrong_by(life, entry.at)
        if not handler.until + shortest - slack <= job.run_at <= entry.at + longest + slack:
            what = f"lets {job.id} come due after {job.run_at - handler.until:.3f} s"
            yield f"{when(history, entry.at)} {entry.by} {what}, not {shortest:g} to {longest:g}"


def _delays(entry: Stored, handler: Handler, spec: JobSpec, run_spec: RunSpec) -> tuple[float, float]:
    """The shortest and the longest delay that this end of a run may lead to."""
    backoff = min(60.0, spec.backoff * 2 ** (entry.job.failures - 1))
    if handler.how not in ("snooze", "retry"):
        return backoff / 2, backoff
    # What a handler asks for at the very moment of its timeout may come too late.
    return (
        (min(run_spec.delay, backoff / 2), max(run_spec.delay, backoff))
        if handler.timed_out
        else (run_spec.delay, run_spec.delay)
    )


def _wrong_by(life: Life, at: float) -> float:
    """Seconds by which this worker may misjudge the store's time: as long as replies took, or as it stood still."""
    return SLOW + max((each.ends - each.begins for each in life.troubles if each.begins <= at), default=0.0)
