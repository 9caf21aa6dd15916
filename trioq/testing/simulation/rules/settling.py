"""What is written of a run, and when: how its handler ended, at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from ..history import History, SimulatedHistory, Stored
from ..network import SLOW
from .lives import Life, lives
from .reading import ROUNDING, SOON, Handler, Run, end_of, handlers, is_reclaim, outcomes_told, runs, told_of_jobs, when

#: How a handler must have ended for the event that its worker writes.  After a timeout, all but a return may fail.
_MEANS: Final = {
    "job:completed": ("returned",),
    "job:retrying": ("raised", "retry"),
    "job:failed": ("raised", "retry", "rejected"),
    "job:snoozed": ("snooze",),
}


def a_run_is_settled_as_its_handler_ended(history: History) -> Iterator[str]:
    """A run is settled as its handler ended before: no job completes whose handler has not returned.

    A run fails only if its handler raised, rejected its job, asked for a retry, or took longer than its timeout.
    A job is given back only if its handler was cancelled, as the grace ended, or never began.
    """
    begun, known = {handler.key: handler for handler in handlers(history)}, lives(history)
    for key, run in runs(history).items():
        life = known.get(run.process)
        if run.over is None or life is None or is_reclaim(run.over):
            continue
        handler = begun.get(key)
        wrong = _misses(run, run.over, life) if handler is None else _contradicts(run, run.over, handler, life)
        if wrong:
            what = f"{run.over.by} writes {run.over.change.event.name} of {key[0]}, run {key[1]}"
            yield f"{when(history, run.over.at)} {what}, {wrong}"
    if not isinstance(history, SimulatedHistory):
        yield from _contradictions_told(history)


def _contradictions_told(history: History) -> Iterator[str]:
    """Of real processes: what is given back had not ended, and a failure is counted only of what raised."""
    hows = {(handler.began.by, *handler.key): handler.how for handler in handlers(history)}
    told = outcomes_told(history)
    for entry, event in told_of_jobs(history):
        run = entry.by, event.job.id, event.run
        how = hows.get(run, "cancelled")
        if event.name == "job:released" and how != "cancelled" and run not in told:
            what = f"{entry.by} tells job:released of {event.job.id}, run {event.run}, and its handler {how}"
            yield f"{when(history, entry.at)} {what}"
    raised = Counter(handler.key[0] for handler in handlers(history) if handler.how == "raised")
    for job in history.records.values():
        if job.failures > raised[job.id]:
            counts = f"counts {job.failures} failures, and raised {raised[job.id]} times"
            yield f"{when(history, end_of(history))} {job.id} {counts}"


def _contradicts(run: Run, over: Stored, handler: Handler, life: Life) -> str:
    """What is wrong with how a run whose handler has begun is settled."""
    kind, how = over.change.event.name, handler.how if handler.last < run.last else "goes on"
    means = how in _MEANS.get(kind, ())
    if kind == "job:cancelled":
        return ""
    if means and kind == "job:failed" and over.job.failures <= over.job.max_retries and how != "rejected":
        return f"though it was failure {over.job.failures} of {over.job.max_retries + 1}"
    if not means and how not in ("returned", "goes on"):  # what it raised as it was stopped counts for nothing
        if kind == "job:released":
            means = handler.until >= life.cut_from - ROUNDING
        else:
            means = kind in ("job:retrying", "job:failed") and handler.timed_out
    return "" if means else f"and its handler {how}"


def _misses(run: Run, over: Stored, life: Life) -> str:
    """What is wrong with how a run whose handler never began is settled."""
    kind = over.change.event.name
    if kind in ("job:cancelled", "job:expired"):
        return ""
    if kind != "job:released":
        return "and its handler never began"
    expires_at = over.job.expires_at
    too_late = expires_at is not None and over.at > expires_at - SLOW  # or so it seems to its worker
    well = life.calm(run.claimed.at, over.at, "claim") and life.heard("claim")  # it knows of no claim that got lost
    might_begin = well and over.at < life.draining and not too_late
    return "though nothing kept its handler from its work" if might_begin else ""


def what_a_handler_did_is_stored_at_once(history: History) -> Iterator[str]:
    """The end of a handler is stored within a second, unless its process is in trouble."""
    found, known = runs(history), lives(history)
    for handler in handlers(history):
        run, life = found.get(handler.key), known.get(handler.began.by)
        if run is None or life is None or handler.how not in ("returned", "raised", "retry", "snooze", "rejected"):
            continue
        late = handler.until + SOON
        open_still = late < end_of(history) and (run.over is None or run.over.at > late)
        if open_still and life.calm(handler.until, late, "settle", "get"):
            what = f"{handler.key[0]} in run {handler.key[1]} {handler.how} in {life.process}"
            yield f"{when(history, late)} {what}, and that is not stored a second later"
