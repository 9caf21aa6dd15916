"""What must happen in the end, and how soon: a world in which nothing happens breaks no other rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import inf
from typing import Final

import attrs

from ..history import Claimed, History, Inserted, Paused, Stored
from .lives import Life, lives
from .reading import FINAL, Handler, end_of, handlers, is_last_life, runs, when

#: Seconds that nobody may idle beside ready work, should every hint get lost: two polls.  A number of its own, for it
#: is a promise, and a slower poll would break it.
IDLE: Final = 5.0


def everything_ends(history: History) -> Iterator[str]:
    """Once the faults have stopped, every job ends."""
    unfinished = [job.id for job in history.records.values() if job.state not in FINAL]
    if unfinished or not history.drained:
        yield f"{when(history, end_of(history))} not everything has ended: {', '.join(unfinished) or 'a client waits'}"


def a_lease_that_ran_out_is_noticed(history: History) -> Iterator[str]:
    """A job whose worker died is taken back within half a lease and two seconds of the end of its own lease.

    That is, wherever another worker lives, and has been well for a lease.
    """
    known = lives(history)
    for (id, number), run in runs(history).items():
        for life in known.values():
            lease = life.staff.lease
            by = run.lease_until + lease / 2 + 2
            watches = life.process != run.process and life.draining > by and by < end_of(history)
            if watches and life.well(run.lease_until - lease - 2, by) and (run.over is None or run.over.at > by):
                left = f"{id}, run {number}, lies with {run.process} since {when(history, run.lease_until).strip()}"
                yield f"{when(history, by)} {left}, and {life.process} has not noticed"


@attrs.frozen
class _Ready:
    """A job that may be claimed, from one time to another."""

    id: str
    queue: str
    begins: float
    ends: float
    last_life: bool


def nobody_idles_beside_ready_work(history: History) -> Iterator[str]:
    """A ready job is claimed within five seconds wherever a slot and a token are free, and nothing is wrong.

    Hints that get lost are nothing wrong: nothing but speed depends on them.
    While a job on its last life is ready or runs there, others may wait for it, and it waits for an empty worker.
    """
    ready = _ready(history)
    all_handlers = handlers(history)
    for job in ready:
        begin = job.begins
        while begin + IDLE < min(job.ends, end_of(history)):
            for life in lives(history).values():
                if job.queue in life.staff.queues and _idles(life, job, begin, ready, all_handlers):
                    yield f"{when(history, begin + IDLE)} {life.process} leaves {job.id} unclaimed for {IDLE:g} s"
                    begin = inf
            begin += IDLE


def _idles(life: Life, job: _Ready, begin: float, ready: list[_Ready], all_handlers: list[Handler]) -> bool:
    """Whether a worker might have claimed the job at any time of these seconds."""
    end, staff = begin + IDLE, life.staff
    if not life.well(begin - staff.lease, end) or life.draining <= end:
        return False
    mine = [each for each in all_handlers if each.began.by == life.process]
    beside = [each for each in mine if each.began.at <= end and each.until >= begin]
    alone = job.last_life or any(is_last_life(each.began.job) for each in beside)
    others = (each for each in ready if each.last_life and each.queue in staff.queues)
    if alone or any(each.begins <= end and begin <= each.ends for each in others):
        return not beside
    starts = sum(begin - staff.rate_interval <= each.began.at <= end for each in mine)
    return len(beside) < staff.concurrency and (staff.rate_limit is None or starts < staff.rate_limit)


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
    return [attrs.evolve(each, begins=_after(pauses[each.queue], each.begins)) for each in found]


def _after(pauses: list[tuple[float, float]], begin: float) -> float:
    """From when on a job was ready for good: the end of the last pause since."""
    return max([begin, *(end for _, end in pauses if end >= begin)])
