"""What handlers and whole workers may do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from ...._core.events import WorkerDraining
from ..history import Began, Broke, Claimed, Died, History, SimulatedHistory, Stopped, Struck, Told
from .health import Health
from .lives import lives
from .reading import Handler, handlers, process_of, runs, states, was_lost, when


def what_begins_was_claimed(history: History) -> Iterator[str]:
    """A handler runs only a job that was enqueued, and that its own process has claimed: once for each claim."""
    claimed: dict[tuple[str, int], str] = {}
    begun: set[tuple[str, int]] = set()
    for entry in history.entries:
        match entry:
            case Claimed(by=by, job=job):
                claimed[job.id, job.run] = by
            case Began(by=by, job=job):
                key = job.id, job.run
                if isinstance(history, SimulatedHistory) and claimed.get(key) != by:
                    yield f"{when(history, entry.at)} {by} runs {job.id}, run {job.run}, which it has not claimed"
                if key in begun:
                    yield f"{when(history, entry.at)} {by} runs {job.id}, run {job.run}, once more"
                begun.add(key)


def a_job_runs_in_one_place(history: History) -> Iterator[str]:
    """Two handlers of one job are under way at once only where the first lost its job, by its lease or by a cancel.

    Of real processes it is enough that the first one was in trouble, so that it may have lost its job.
    """
    may_have_lost = _losses(history)
    by_job: defaultdict[str, list[Handler]] = defaultdict(list)
    for handler in handlers(history):
        for earlier in by_job[handler.key[0]]:
            if earlier.overlaps(handler) and not may_have_lost(earlier, handler):
                places = f"{handler.key[0]} in run {handler.key[1]} beside run {earlier.key[1]} in {earlier.began.by}"
                yield f"{when(history, handler.began.at)} {handler.began.by} begins {places}"
        by_job[handler.key[0]].append(handler)


def _losses(history: History) -> Callable[[Handler, Handler], bool]:
    """Answer a function that says whether a handler had lost its job when another one began."""
    if isinstance(history, SimulatedHistory):
        found = runs(history)
        return lambda handler, other: was_lost(found.get(handler.key), other.first)
    health = Health(history)
    return lambda handler, other: health.in_trouble(handler.began.by, other.began.at)


def a_draining_worker_begins_nothing(history: History) -> Iterator[str]:
    """Once a worker is told to stop, no handler begins in it."""
    draining: set[str] = set()
    for entry in history.entries:
        match entry:
            case Told(event=WorkerDraining(worker=worker)):
                draining.add(process_of(worker))
            case Began(by=by, job=job) if by in draining:
                yield f"{when(history, entry.at)} {by} begins {job.id}, though it drains"


def a_stopped_worker_leaves_nothing_behind(history: History) -> Iterator[str]:
    """A worker that has stopped runs no handler, has given back its slots and tokens, and holds no job under a lease.

    It names the jobs whose outcome the store did not take in time, which happens only when the store can't be reached.
    It doesn't know of a claim that was never answered.  Its process has no thread, task, open file or child that it did
    not have at its start.
    """
    all_handlers, known = handlers(history), lives(history)
    begun = {handler.key for handler in all_handlers}
    for number, entry, records in states(history):
        if not isinstance(entry, Stopped):
            continue
        at = when(history, entry.at)
        if entry.borrowed or entry.tokens:
            yield f"{at} {entry.by} stops with {entry.borrowed} slots and {entry.tokens} tokens in hand"
        if entry.left:
            yield f"{at} {entry.by} stops, and leaves {', '.join(entry.left)}"
        if entry.unsettled and entry.by in known and not known[entry.by].in_trouble(entry.at - 10, entry.at):
            yield f"{at} {entry.by} leaves {', '.join(entry.unsettled)}, though the store was there"
        for handler in all_handlers:
            if handler.began.by == entry.by and handler.first < number < handler.last:
                yield f"{at} {entry.by} stops, and its handler of {handler.key[0]} goes on"
        for job in records.values():
            if job.state == "active" and process_of(job.worker) == entry.by and job.id not in entry.unsettled:
                life = known.get(entry.by)
                if (job.id, job.run) in begun or life is None or life.heard("claim"):
                    yield f"{at} {entry.by} stops, and still holds {job.id}"


def no_worker_breaks(history: History) -> Iterator[str]:
    """No fault ends a worker in an error, and none keeps it from stopping.

    A real process ends with exit code 0, or killed on purpose.
    """
    killed = {entry.by for entry in history.all(Struck) if entry.fault == "killed"}
    for died in history.all(Died):
        if died.code is not None and died.by not in killed:
            yield f"{when(history, died.at)} {died.by} ended with {died.code}"
    for entry in history.all(Broke):
        yield f"{when(history, entry.at)} {entry.by} broke: {entry.error}"
