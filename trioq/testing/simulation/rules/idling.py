"""How soon a worker does what it can do, where nothing is wrong: it claims, begins, and notices cancels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import inf
from typing import Final

import attrs

from ..history import Claimed, History, Inserted, Paused, SimulatedHistory, Stored
from ..plan import TICK, Does
from .lives import CALM, Life, lives
from .reading import SOON, Handler, end_of, handlers, is_last_life, run_spec_of, runs, when

#: Seconds for which a worker may idle beside ready work, should every hint get lost: two polls.  It is a number of its
#: own, not computed from the poll: it is a promise, and a slower poll would break it.
IDLE: Final = 5.0

#: The calls that a worker makes before a job begins, or is given back: while outcomes wait, nothing is claimed.
_CLAIMING: Final = ("claim", "settle", "get")


def no_worker_idles_beside_ready_work(history: History) -> Iterator[str]:
    """A ready job is claimed within five seconds wherever a slot and a token are free, and nothing is wrong.

    Lost hints don't count as wrong, for only speed depends on them.
    While a job on its last life is ready or runs there, others may wait for it, and it waits for an empty worker.
    A worker notices at its next poll that another worker has taken that job.
    """
    for life, job, begin in _left_lying(history, IDLE):
        yield f"{when(history, begin + IDLE)} {life.process} leaves {job.id} unclaimed for {IDLE:g} s"


def hints_spare_the_wait(history: History) -> Iterator[str]:
    """A ready job is claimed within a second wherever a slot and a token are free, and hints come through.

    It may take longer where something is wrong, or a job on its last life is ready or runs.
    """
    for life, job, begin in _left_lying(history, SOON):
        if life.hears_hints(begin, begin + SOON):
            yield f"{when(history, begin + SOON)} {life.process} has hints, and leaves {job.id} unclaimed"


def what_is_claimed_begins_at_once(history: History) -> Iterator[str]:
    """A job that is claimed begins, or is given back, within a second, unless its worker is in trouble.

    A worker doesn't know of a claim that was never answered, which may take effect when all is well again.
    """
    begun, known = {handler.key: handler for handler in handlers(history)}, lives(history)
    for key, run in runs(history).items():
        soon, life, handler = run.claimed.at + SOON, known.get(run.process), begun.get(key)
        if life is None or not life.calm(run.claimed.at, soon, *_CLAIMING):
            continue
        idle = handler.began.at > soon if handler is not None else life.heard("claim")
        if idle and (run.over is None or run.over.at > soon):
            yield f"{when(history, soon)} {life.process} has claimed {key[0]}, run {key[1]}, and not begun it"


def a_cancel_is_heard_at_once(history: SimulatedHistory) -> Iterator[str]:
    """A handler whose job is cancelled ends within a second where hints come through, and nothing is wrong.

    The worker waits for a handler that shields itself.
    """
    found, known, end = runs(history), lives(history), end_of(history)
    for handler in handlers(history):
        run, life = found.get(handler.key), known.get(handler.began.by)
        if run is None or run.over is None or life is None or run.over.change.event.name != "job:cancelled":
            continue
        cancelled = max(run.over.at, handler.began.at)
        late = min(handler.until, end) > cancelled + SOON and run_spec_of(history, handler).does is not Does.RESIST
        soon = cancelled, cancelled + SOON
        if late and life.calm(*soon, "renew") and life.hears_hints(*soon):
            what = f"{handler.key[0]}, which was cancelled at {when(history, run.over.at).strip()}"
            yield f"{when(history, cancelled + SOON)} {life.process} has hints, and still runs {what}"


# --- which worker might have claimed which job --------------------------------------------------


@attrs.frozen
class _Ready:
    """A job that may be claimed, from one time to another."""

    id: str
    queue: str
    begins: float
    ends: float
    last_life: bool


def _left_lying(history: History, seconds: float) -> Iterator[tuple[Life, _Ready, float]]:
    """Which worker might have claimed which job in all of the *seconds* after some moment."""
    ready, all_handlers, end = _ready(history), handlers(history), end_of(history)
    for life in lives(history).values():
        mine = [each for each in all_handlers if each.began.by == life.process]
        served = [job for job in ready if job.queue in life.worker.queues]
        changes = _changes(life, mine, served)
        for job in served:
            for begin in sorted({job.begins, *(at for at in changes if at > job.begins)}):
                if begin + seconds < min(job.ends, end) and _idles(life, job, begin, begin + seconds, served, mine):
                    yield life, job, begin
                    break


def _changes(life: Life, mine: list[Handler], served: list[_Ready]) -> set[float]:
    """The moments at which the worker may become free: something ends that has kept it from a claim."""
    found = {life.begins, *(each.until for each in mine), *(job.ends + CALM + TICK for job in served if job.last_life)}
    found |= {each.began.at + life.worker.rate_interval for each in mine}
    return found | {each.ends + CALM + TICK for each in (*life.troubles, *life.deaf)}


def _idles(life: Life, job: _Ready, begin: float, end: float, served: list[_Ready], mine: list[Handler]) -> bool:
    """Whether it might have claimed the job at any time between the two."""
    if life.draining <= end or not life.calm(begin, end, *_CLAIMING):
        return False
    span, limit = life.worker.rate_interval, life.worker.rate_limit
    starts = [each.began.at for each in mine if begin - span < each.began.at <= end]
    spent = _most(sum(last - span < each <= last for each in starts) for last in starts)
    if limit is not None and spent >= limit:
        return False
    beside = [each for each in mine if each.began.at <= end and begin < each.until]
    alone = job.last_life or any(is_last_life(each.began.job) for each in beside)
    if alone or any(each.last_life and each.begins <= end and begin <= each.ends + CALM for each in served):
        return not beside
    busy = _most(sum(each.first <= last.first < each.last for each in beside) for last in beside)
    return busy < life.worker.concurrency


def _most(counts: Iterable[int]) -> int:
    """The peak of what is counted at each start."""
    return max(counts, default=0)


def _ready(history: History) -> list[_Ready]:
    """When jobs were ready in queues that were not paused."""
    pauses: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    since: dict[str, tuple[str, float, bool]] = {}
    paused: dict[str, float] = {}
    found: list[_Ready] = []
    for entry in history.entries:
        match entry:
            case Paused(queue=queue, paused=True):
                paused.setdefault(queue, entry.at)
            case Paused(queue=queue) if queue in paused:
                pauses[queue].append((paused.pop(queue), entry.at))
            case Inserted(job=job) | Claimed(job=job) | Stored(job=job):
                if job.id in since:
                    found.append(_Ready(job.id, job.queue, since[job.id][1], entry.at, since[job.id][2]))
                    del since[job.id]
                if job.state in ("waiting", "delayed"):
                    since[job.id] = job.queue, max(entry.at, job.run_at), is_last_life(job)
    found += [_Ready(id, queue, begins, inf, last) for id, (queue, begins, last) in since.items()]
    for queue, begins in paused.items():
        pauses[queue].append((begins, inf))
    return [part for each in found for part in _without(pauses[each.queue], each)]


def _without(pauses: list[tuple[float, float]], job: _Ready) -> Iterator[_Ready]:
    """The times at which a job was ready between these pauses of its queue."""
    begins = job.begins
    for begin, end in pauses:
        if begins < min(begin, job.ends):
            yield attrs.evolve(job, begins=begins, ends=min(begin, job.ends))
        begins = max(begins, end)
    if begins < job.ends:
        yield attrs.evolve(job, begins=begins)
