"""The in-memory backend: the reference that the other stores are compared with.  For tests and small applications.

It keeps its jobs for as long as the object lives, over any number of runs; nothing outlives the process.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from heapq import heappop, heappush

import attrs
import trio

from .._core.job import DEAD, Job, Shelf, State
from .._core.lifecycle import Change, Claim, stamp, step
from ._base import (
    PAGE,
    PROMOTIONS,
    Backend,
    Claimed,
    Filter,
    Found,
    Hint,
    Inserted,
    Lease,
    Loss,
    Overdue,
    Page,
    Presence,
    Renewed,
    Retention,
    Settled,
    Verdict,
)
from ._hints import Doorbells


@attrs.define(eq=False)
class _Shelves:
    """One queue's jobs and their indexes.

    The heaps are lazy: an entry ends with the id and version that it was made from, and counts only while that is
    still the job's version.  So a job is never searched for, only overtaken.
    """

    jobs: dict[str, Job] = attrs.Factory(dict)
    order: list[tuple[int, str]] = attrs.Factory(list)  #: (seq, id) of every job ever inserted, for paging
    keys: dict[str, str] = attrs.Factory(dict)  #: the unique keys of live jobs
    counts: Counter[State] = attrs.Factory(Counter)
    ready: list[tuple[int, float, int, str, int]] = attrs.Factory(list)
    alone: list[tuple[int, float, int, str, int]] = attrs.Factory(list)  #: ready, on their last life
    timed: list[tuple[float, int, str, int]] = attrs.Factory(list)
    expiring: list[tuple[float, str, int]] = attrs.Factory(list)
    finished: deque[tuple[float, str, int]] = attrs.Factory(deque)  #: completed and cancelled
    dead: deque[tuple[float, str, int]] = attrs.Factory(deque)
    paused: bool = False

    def put(self, job: Job) -> None:
        """Store a record in place of the one before it."""
        before = self.jobs.get(job.id)
        if before is None:
            self.order.append((job.seq, job.id))
        else:
            self.counts[before.state] -= 1
        self.jobs[job.id] = job
        self.counts[job.state] += 1
        if job.unique_key is not None:
            self._keep_key(job, job.unique_key)
        match job.state.shelf:
            case Shelf.READY:
                self.make_ready(job)
            case Shelf.TIMED:
                heappush(self.timed, (job.run_at, job.seq, job.id, job.version))
            case Shelf.FINAL:
                (self.dead if job.state in DEAD else self.finished).append(_ended(job))
                return
            case Shelf.HELD | Shelf.PARKED:
                return
        if job.expires_at is not None:
            heappush(self.expiring, (job.expires_at, job.id, job.version))

    def make_ready(self, job: Job) -> None:
        """Let a claim find the job: it waits, or it was delayed and has come due."""
        heappush(self.alone if job.last_life else self.ready, (job.priority, job.run_at, job.seq, job.id, job.version))

    def drop(self, job: Job) -> None:
        """Forget the record."""
        del self.jobs[job.id]
        self.counts[job.state] -= 1
        if job.unique_key is not None and self.keys.get(job.unique_key) == job.id:
            del self.keys[job.unique_key]
        if len(self.order) > 2 * len(self.jobs) + PAGE:
            self.order = [entry for entry in self.order if entry[1] in self.jobs]

    def current(self, id: str, version: int) -> Job | None:
        """The job, if it has not moved on since *version*."""
        job = self.jobs.get(id)
        return job if job is not None and job.version == version else None

    def promote(self, now: float) -> float | None:
        """Let due jobs join the ready ones, earliest first; the answer says when the next comes due."""
        promoted = 0
        while self.timed:
            run_at, _, id, version = self.timed[0]
            job = self.current(id, version)
            if job is not None:
                if run_at > now or promoted == PROMOTIONS:
                    return run_at
                self.make_ready(job)
                promoted += 1
            heappop(self.timed)
        return None

    def first(self, heap: list[tuple[int, float, int, str, int]]) -> Job | None:
        """The job at the head of *heap*, after what has moved on is thrown away."""
        while heap:
            job = self.current(heap[0][3], heap[0][4])
            if job is not None:
                return job
            heappop(heap)
        return None

    def _keep_key(self, job: Job, key: str) -> None:
        if not job.state.final:
            self.keys[key] = job.id
        elif self.keys.get(key) == job.id:
            del self.keys[key]


def _ended(job: Job) -> tuple[float, str, int]:
    return (job.finished_at or 0.0, job.id, job.version)


class InMemoryBackend(Backend):
    """Jobs in this process, for as long as this object lives.

    Its clock reads the wall clock when it is opened and adds Trio's, never going back: under
    `trio.testing.MockClock` a day of retries takes milliseconds.  *clock* puts another in its place.
    """

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._wall_less_trio = 0.0
        self._latest = 0.0
        self._seq = 0
        self._shelves: defaultdict[str, _Shelves] = defaultdict(_Shelves)
        self._held: defaultdict[str, dict[tuple[str, str], None]] = defaultdict(dict)
        self._seen: dict[str, tuple[float, Presence]] = {}
        self._bells = Doorbells()

    def __repr__(self) -> str:
        return f"<InMemoryBackend {id(self):#x}>"

    async def _start(self) -> None:
        self._wall_less_trio = time.time() - trio.current_time()
        await trio.lowlevel.checkpoint()

    async def _now(self) -> float:
        """A checkpoint, and then the store's time: every verb begins here, and is synchronous from here on."""
        self.require_open()
        await trio.lowlevel.checkpoint()
        now = self._clock() if self._clock else self._wall_less_trio + trio.current_time()
        self._latest = max(self._latest, now)
        return self._latest

    async def insert(self, jobs: Sequence[Job]) -> Inserted:
        now = await self._now()
        stored, created = [], []
        for job in jobs:
            known = self._known(job)
            created.append(known is None)
            stored.append(known or self._add(job, now))
        return Inserted(now, stored, created)

    def _known(self, job: Job) -> Job | None:
        shelves = self._shelves[job.queue]
        if job.id in shelves.jobs:
            return shelves.jobs[job.id]
        holder = shelves.keys.get(job.unique_key) if job.unique_key is not None else None
        return None if holder is None else shelves.jobs[holder]

    def _add(self, job: Job, now: float) -> Job:
        self._seq += 1
        job = stamp(job, self._seq, now)
        self._shelves[job.queue].put(job)
        self._bells.ring(Hint.READY, job.queue)
        return job

    async def claim(self, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
        now = await self._now()
        claim = Claim(worker, now + lease)
        open_queues = {name: self._shelves[name] for name in queues if not self._shelves[name].paused}
        due = [shelves.promote(now) for shelves in open_queues.values()]
        poisoned = [shelves for shelves in open_queues.values() if shelves.first(shelves.alone)]
        jobs: list[Job] = []
        if poisoned and idle and limit:
            jobs.append(self._hold(poisoned[0], poisoned[0].alone, claim, now))
            poisoned = [shelves for shelves in poisoned if shelves.first(shelves.alone)]
        else:
            for shelves in open_queues.values():
                while len(jobs) < limit and shelves.first(shelves.ready):
                    jobs.append(self._hold(shelves, shelves.ready, claim, now))
        return Claimed(
            now,
            jobs,
            next_due=min((at for at in due if at is not None), default=None),
            paused=frozenset(queues) - open_queues.keys(),
            last_life=bool(poisoned),
        )

    def _hold(
        self, shelves: _Shelves, heap: list[tuple[int, float, int, str, int]], claim: Claim, now: float
    ) -> Job:
        before = shelves.jobs[heappop(heap)[3]]
        job = before.after(step(before, claim, now))
        shelves.put(job)
        self._held[claim.worker][job.queue, job.id] = None
        return job

    async def settle(self, changes: Sequence[Change]) -> Settled:
        now = await self._now()
        return Settled(now, [self._settle(change, now) for change in changes])

    def _settle(self, change: Change, now: float) -> Verdict:
        parts = (change, *change.also)
        befores = [self._shelves[part.queue].jobs.get(part.id) for part in parts]
        if all(_is_stored(before, part) for before, part in zip(befores, parts, strict=True)):
            return Verdict.STORED
        live = []
        for before, part in zip(befores, parts, strict=True):
            if before is None or not _matches(before, part):
                return Verdict.STALE
            if self._key_taken(before, part.state):
                return Verdict.KEY_TAKEN
            live.append((before, part))
        for job in change.inserts:
            known = self._known(job)
            if known is not None:
                return Verdict.STALE if known.id == job.id else Verdict.KEY_TAKEN
        for before, part in live:
            self._apply(before, part)
        for job in change.inserts:
            self._add(job, now)
        return Verdict.STORED

    def _key_taken(self, job: Job, state: State) -> bool:
        return (
            not state.final
            and job.unique_key is not None
            and self._shelves[job.queue].keys.get(job.unique_key, job.id) != job.id
        )

    def _apply(self, before: Job, change: Change) -> None:
        job = before.after(change)
        if before.state is State.ACTIVE and before.worker is not None:
            self._held[before.worker].pop((job.queue, job.id), None)
        self._shelves[job.queue].put(job)
        if job.state.final:
            cancelled = job.state is State.CANCELLED and before.state is State.ACTIVE
            self._bells.ring(Hint.FINISHED | Hint.CANCELLED if cancelled else Hint.FINISHED, job.queue)
        else:
            self._bells.ring(Hint.READY, job.queue)

    async def renew(self, worker: Presence, leases: Sequence[Lease]) -> Renewed:
        now = await self._now()
        self._seen[worker.worker] = (now, worker)
        lost: dict[Lease, Loss] = {}
        for lease in leases:
            shelves = self._shelves[lease.queue]
            job = shelves.jobs.get(lease.id)
            if job is None:
                lost[lease] = Loss.GONE
            elif job.run == lease.run and job.state is State.ACTIVE:
                progress = job.progress if lease.progress is None else lease.progress
                # A renewal is no step, so no index moves: the record alone is replaced.
                shelves.jobs[job.id] = job.having({"lease_until": now + worker.lease, "progress": progress})
            else:
                cancelled = job.run == lease.run and job.state is State.CANCELLED
                lost[lease] = Loss.CANCELLED if cancelled else Loss.RECLAIMED
        listed = {(lease.queue, lease.id) for lease in leases}
        return Renewed(now, lost, [held for held in self._held[worker.worker] if held not in listed])

    async def overdue(self, limit: int) -> Overdue:
        now = await self._now()
        found: list[Job] = []
        for held in self._held.values():
            jobs = (self._shelves[queue].jobs[id] for queue, id in held)
            found += (job for job in jobs if job.lease_until is not None and job.lease_until <= now)
        for shelves in self._shelves.values():
            found += self._expired(shelves, now, limit)
        return Overdue(now, found[:limit])

    def _expired(self, shelves: _Shelves, now: float, limit: int) -> list[Job]:
        found: list[Job] = []
        while shelves.expiring and shelves.expiring[0][0] <= now and len(found) < limit:
            _, id, version = heappop(shelves.expiring)
            job = shelves.current(id, version)
            if job is not None:
                found.append(job)
        for job in found:  # they are answered until somebody settles them
            heappush(shelves.expiring, (job.expires_at or 0.0, job.id, job.version))
        return found

    async def get(self, queue: str, ids: Sequence[str]) -> Found:
        now = await self._now()
        return Found(now, [self._shelves[queue].jobs.get(id) for id in ids])

    async def find(self, filter: Filter, cursor: int | None = None, limit: int = 100) -> Page:
        now = await self._now()
        shelves = self._shelves[filter.queue]
        start = 0 if cursor is None else bisect_right(shelves.order, (cursor, "\x7f"))
        found: list[Job] = []
        for seq, id in shelves.order[start : start + PAGE]:
            job = shelves.jobs.get(id)
            if job is not None and job.seq == seq and job.state in filter.states and filter.task in (None, job.task):
                found.append(job)
                if len(found) == limit:
                    return Page(now, found, seq)
        looked_at = shelves.order[start : start + PAGE]
        return Page(now, found, looked_at[-1][0] if len(looked_at) == PAGE else None)

    async def counts(self, queue: str) -> dict[State, int]:
        await self._now()
        return {state: self._shelves[queue].counts[state] for state in State}

    async def queues(self) -> list[str]:
        await self._now()
        return sorted(name for name, shelves in self._shelves.items() if shelves.jobs or shelves.paused)

    async def pause(self, queue: str) -> float:
        now = await self._now()
        self._shelves[queue].paused = True
        self._bells.ring(Hint.PAUSED, queue)
        return now

    async def resume(self, queue: str) -> float:
        now = await self._now()
        self._shelves[queue].paused = False
        self._bells.ring(Hint.PAUSED | Hint.READY, queue)
        return now

    async def is_queue_paused(self, queue: str) -> bool:
        await self._now()
        return self._shelves[queue].paused

    def watch(self, queues: Sequence[str]) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        self.require_open()
        return self._bells.watch(queues)

    async def remove(self, queue: str, ids: Sequence[str]) -> list[bool]:
        await self._now()
        shelves = self._shelves[queue]
        removed = []
        for id in ids:
            job = shelves.jobs.get(id)
            removed.append(job is not None and job.state is not State.ACTIVE)
            if job is not None and removed[-1]:
                shelves.drop(job)
        return removed

    async def prune(self, limits: Retention, batch: int = 1_000) -> int:
        now = await self._now()
        dropped = 0
        for shelves in self._shelves.values():
            ended = shelves.counts[State.COMPLETED] + shelves.counts[State.CANCELLED]
            dead = shelves.counts[State.FAILED] + shelves.counts[State.EXPIRED]
            for line, keep, most, there in (
                (shelves.finished, limits.keep_completed, limits.keep_completed_max, ended),
                (shelves.dead, limits.keep_dead, limits.keep_dead_max, dead),
            ):
                for job in _past(shelves, line, now - keep, there - most):
                    if dropped == batch:
                        return dropped
                    line.popleft()
                    shelves.drop(job)
                    dropped += 1
        return dropped

    async def workers(self) -> list[Presence]:
        now = await self._now()
        self._seen = {id: (at, seen) for id, (at, seen) in self._seen.items() if at + seen.lease > now}
        return [seen for _, seen in self._seen.values()]


def _past(shelves: _Shelves, line: deque[tuple[float, str, int]], oldest: float, too_many: int) -> Iterator[Job]:
    """The jobs at the head of *line* that are past retention; the caller pops each that it drops."""
    while line:
        finished_at, id, version = line[0]
        job = shelves.current(id, version)
        if job is None:
            line.popleft()
        elif finished_at <= oldest or too_many > 0:
            too_many -= 1
            yield job
        else:
            return


def _matches(job: Job, change: Change) -> bool:
    """Whether the record is still the one that the change was made from."""
    if job.seq != change.seq or job.version != change.version:
        return False
    return change.lease_until is None or job.lease_until == change.lease_until


def _is_stored(job: Job | None, change: Change) -> bool:
    """Whether the record is what storing the change made: a repeated write is no stale one."""
    if job is None or job.seq != change.seq or job.version != change.version + 1:
        return False
    return all(job.__dict__[name] == value for name, value in change.fields.items())
