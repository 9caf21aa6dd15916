"""What events tell beside steps: handlers that begin, jobs that are lost, outages, and the run of the worker."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from math import inf
from typing import Final

from ...._core.events import BackendLost, BackendRecovered, JobCancelled, JobEvent, JobLost, WorkerEvent
from ..history import Began, Entry, History, SimulatedHistory, Stopped, Told
from .lives import lives
from .reading import end_of, handlers, is_reclaim, outcomes_told, process_of, runs, told_of_jobs, when

#: What a worker tells of its own run, in this order.
_RUN_EVENTS: Final = ("worker:started", "worker:draining", "worker:stopped")


def every_handler_is_told(history: History) -> Iterator[str]:
    """A worker tells once that a handler starts, just before it begins."""
    started: Counter[tuple[str, str, int]] = Counter()
    for entry in history.entries:
        match entry:
            case Told(by=by, event=JobEvent(name="job:started", job=job, run=run)):
                started[by, job.id, run] += 1
                if started[by, job.id, run] > 1:
                    yield f"{when(history, entry.at)} {by} tells job:started of {job.id}, run {run}, once more"
            case Began(by=by, job=job) if not started[by, job.id, job.run]:
                yield f"{when(history, entry.at)} {by} begins {job.id}, run {job.run}, and has not told"


def what_is_lost_is_told(history: History) -> Iterator[str]:
    """A worker tells of a job that was taken from it, or cancelled, once it can know of that, or as it stops.

    Where the handler shields itself from its timeout, the worker tells it once the handler has ended.
    """
    lost = {(e.by, e.event.job.id, e.event.run) for e in history.all(Told) if isinstance(e.event, JobLost)}
    cancelled = {(e.by, e.event.job.id) for e in history.all(Told) if isinstance(e.event, JobCancelled)}
    stopped = {entry.by: (n, entry) for n, entry in enumerate(history.entries) if isinstance(entry, Stopped)}
    begun = {handler.key: handler for handler in handlers(history)}
    known, end = lives(history), end_of(history)
    for (id, number), run in runs(history).items():
        life = known.get(run.process)
        if run.over is None or life is None or (id, number) not in begun:
            continue
        was_cancelled = run.over.change.event.name == JobCancelled.name
        # A job that was taken away may be cancelled then, and its worker learns only of the cancel.
        told = (run.process, id, number) in lost or (run.process, id) in cancelled
        if told or not (was_cancelled or is_reclaim(run.over)):
            continue
        handler = begun[id, number]
        stopping = run.over.at - handler.began.at >= (handler.began.job.timeout or inf)
        deadline = life.hears_by(max(run.over.at, handler.until) if stopping else run.over.at) + life.worker.lease
        if run.process in stopped:
            last, stop = stopped[run.process]
            silent = run.last < last and id not in stop.unsettled
        else:
            silent = deadline < min(end, life.ends, life.told_until)
        if silent:
            what = f"has not told of {id}, run {number}, which it lost at {when(history, run.over.at).strip()}"
            yield f"{when(history, min(deadline, life.ends))} {life.process} {what}"
    if not isinstance(history, SimulatedHistory):
        yield from _taken_unnoticed(history)


def _taken_unnoticed(history: History) -> Iterator[str]:
    """Of real processes: a handler ended in a worker that stopped as it should, and told nothing of that."""
    ended = {(handler.began.by, *handler.key) for handler in handlers(history) if handler.last < inf}
    stopped = {entry.by for entry in history.all(Stopped)}
    told = outcomes_told(history)
    for entry, event in told_of_jobs(history):
        run = process_of(event.worker), event.job.id, event.run
        if event.name == "job:stalled" and run in ended - told and run[0] in stopped:
            what = f"{run[0]} has not told of {run[1]}, run {run[2]}, which {entry.by} took from it"
            yield f"{when(history, entry.at)} {what}"


def what_is_told_as_lost_is_lost(history: History) -> Iterator[str]:
    """A job is told as lost once, by the worker that held it, after another process has moved it on."""
    found = runs(history)
    told: set[tuple[str, str, int]] = set()
    for number, entry in enumerate(history.entries):
        if not isinstance(entry, Told) or not isinstance(entry.event, JobLost):
            continue
        id, number_of_run = entry.event.job.id, entry.event.run
        run, what = found.get((id, number_of_run)), f"{entry.by} tells job:lost of {id}, run {number_of_run}"
        if (entry.by, id, number_of_run) in told:
            yield f"{when(history, entry.at)} {what}, once more"
        elif run is None or run.process != entry.by or run.last > number:
            yield f"{when(history, entry.at)} {what}, which is not lost"
        elif run.over is not None and run.over.by == entry.by and not _answer_was_lost(history, run.over):
            yield f"{when(history, entry.at)} {what}, which it has settled itself"
        told.add((entry.by, id, number_of_run))


def _answer_was_lost(history: History, settled: Entry) -> bool:
    life = lives(history).get(settled.by)
    return life is None or not life.heard("settle")


def outages_and_worker_states_are_told_in_order(history: History) -> Iterator[str]:
    """A worker tells in order that it starts, drains and stops, and of outages in between their start and their end."""
    told: defaultdict[str, list[str]] = defaultdict(list)
    away: set[str] = set()
    for entry in history.all(Told):
        if not isinstance(entry.event, WorkerEvent):
            continue
        worker, name = entry.event.worker, entry.event.name
        at_work = _RUN_EVENTS[0] in told[worker] and _RUN_EVENTS[-1] not in told[worker]
        if isinstance(entry.event, BackendLost):
            in_turn = at_work and worker not in away
            away.add(worker)
        elif isinstance(entry.event, BackendRecovered):
            in_turn = at_work and worker in away
            away.discard(worker)
        else:
            told[worker].append(name)
            in_turn = tuple(told[worker]) == _RUN_EVENTS[: len(told[worker])]
        if not in_turn:
            yield f"{when(history, entry.at)} {process_of(worker)} tells {name} out of turn"
