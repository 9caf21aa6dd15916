"""The in-memory backend: the reference that the other stores are compared with.  For tests and small applications.

It keeps its jobs for as long as the object lives, over any number of runs; nothing outlives the process.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import ChainMap, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from heapq import heapify, heappop, heappush
from typing import Any

import attrs
import trio

from .._core.job import DEAD, Job, Shelf, State
from .._core.lifecycle import Change, Claim, advance, stamp
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
from ._hints import ALL_HINTS, HintChannels

#: (priority, run_at, seq, id, version)
Ready = tuple[int, float, int, str, int]


@attrs.define(eq=False)
class _Shelves:
    """One queue's jobs and their indexes.

    The heaps are lazy: an entry ends with the seq, id and version of its job, and counts only while the job has these.
    So no entry is ever searched for: it becomes stale, and a heap of mostly stale entries is swept.  The seq is there
    because an id can come back after its record was removed, and then so can its version.
    """

    jobs: dict[str, Job] = attrs.Factory(dict)
    order: list[tuple[int, str]] = attrs.Factory(list)  #: (seq, id) of every job ever inserted, for paging
    keys: dict[str, str] = attrs.Factory(dict)  #: the unique keys of live jobs
    counts: dict[State, int] = attrs.Factory(lambda: dict.fromkeys(State, 0))
    ready: list[Ready] = attrs.Factory(list)
    last_lives: list[Ready] = attrs.Factory(list)  #: ready, on their last life
    timed: list[tuple[float, int, str, int]] = attrs.Factory(list)
    expiring: list[tuple[float, int, str, int]] = attrs.Factory(list)
    finished: list[tuple[float, int, str, int]] = attrs.Factory(list)  #: completed and cancelled
    dead: list[tuple[float, int, str, int]] = attrs.Factory(list)
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
        if job.lease_until is not None:
            return  # held: only its id finds it
        if job.finished_at is not None:
            line = self.dead if job.state in DEAD else self.finished
            self._push(line, (job.finished_at, job.seq, job.id, job.version))
            return
        if job.state.shelf is Shelf.READY:
            self.make_ready(job)
        elif job.state.shelf is Shelf.TIMED:
            self._push(self.timed, (job.run_at, job.seq, job.id, job.version))
        if job.expires_at is not None:
            self._push(self.expiring, (job.expires_at, job.seq, job.id, job.version))

    def make_ready(self, job: Job) -> None:
        """Let a claim find the job: it waits, or it was delayed and has come due."""
        entry = (job.priority, job.run_at, job.seq, job.id, job.version)
        self._push(self.last_lives if job.last_life else self.ready, entry)

    def drop(self, job: Job) -> None:
        """Forget the record."""
        del self.jobs[job.id]
        self.counts[job.state] -= 1
        if job.unique_key is not None and self.keys.get(job.unique_key) == job.id:
            del self.keys[job.unique_key]
        if len(self.order) > 2 * len(self.jobs) + PAGE:
            self.order = sorted((job.seq, job.id) for job in self.jobs.values())

    def current(self, entry: tuple[Any, ...]) -> Job | None:
        """Return the job of a heap's *entry*; None if the entry is stale."""
        job = self.jobs.get(entry[-2])
        return job if job is not None and job.version == entry[-1] and job.seq == entry[-3] else None

    def promote(self, now: float, most: int) -> int:
        """Make up to *most* due jobs ready, earliest first, and return how many."""
        promoted = 0
        while promoted < most and (job := self.first(self.timed)) is not None and job.run_at <= now:
            heappop(self.timed)
            self.make_ready(job)
            promoted += 1
        return promoted

    def first(self, heap: list[Any]) -> Job | None:
        """Return the job at the head of *heap*, after stale entries are thrown away."""
        while heap:
            job = self.current(heap[0])
            if job is not None:
                return job
            heappop(heap)
        return None

    def _push(self, heap: list[Any], entry: tuple[Any, ...]) -> None:
        heappush(heap, entry)
        # Stale entries may lie there for as long as a TTL: in time there would be one for every job there ever was.
        if len(heap) > 2 * len(self.jobs) + PAGE:
            heap[:] = filter(self.current, heap)
            heapify(heap)

    def _keep_key(self, job: Job, key: str) -> None:
        if not job.state.final:
            self.keys[key] = job.id
        elif self.keys.get(key) == job.id:
            del self.keys[key]


@attrs.frozen
class _Draft:
    """A queue as it would be with all parts of a change stored: a draft, because an index can't undo an entry."""

    jobs: ChainMap[str, Job]
    keys: ChainMap[str, str]  #: "" where no job has it any more

    @classmethod
    def of(cls, shelves: _Shelves) -> _Draft:
        return cls(ChainMap({}, shelves.jobs), ChainMap({}, shelves.keys))

    def put(self, job: Job) -> None:
        """Note the record, and who has its unique key then."""
        self.jobs[job.id] = job
        if job.unique_key is not None and not job.state.final:
            self.keys[job.unique_key] = job.id
        elif job.unique_key is not None and self.keys.get(job.unique_key) == job.id:
            self.keys[job.unique_key] = ""

    def add(self, job: Job) -> Verdict | None:
        """Note a new job, or return why it can't be stored."""
        if job.id in self.jobs:
            return Verdict.STALE
        if job.unique_key is not None and self.keys.get(job.unique_key):
            return Verdict.KEY_TAKEN
        self.put(job)
        return None


class InMemoryBackend(Backend):
    """Jobs in this process, for as long as this object lives.

    Its clock reads the wall clock when it is opened and adds Trio's, never going back.  Under
    `trio.testing.MockClock` a day of retries takes about a second.  *clock* replaces it.
    """

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._wall_less_trio = 0.0
        self._latest = 0.0
        self._seq = 0
        self._shelves: defaultdict[str, _Shelves] = defaultdict(_Shelves)
        self._held: defaultdict[str, dict[tuple[str, str], None]] = defaultdict(dict)
        self._seen: dict[str, tuple[float, Presence]] = {}
        self._hint_channels = HintChannels()
        #: The hints of the verb under way, with the queues that they are about: each is sent once, at its end.
        self._pending_hints: dict[Hint, set[str]] = {Hint.READY: set(), Hint.FINISHED: set(), Hint.CANCELLED: set()}
        self._made_ready, self._finished, self._cancelled = self._pending_hints.values()

    def __repr__(self) -> str:
        return f"<InMemoryBackend {id(self):#x}>"

    async def _start(self) -> None:
        # The latest, too: in virtual time, what was stored in an earlier run may be days ahead of the wall clock.
        self._wall_less_trio = max(time.time(), self._latest) - trio.current_time()
        await trio.lowlevel.checkpoint()

    async def _now(self) -> float:
        """Pass a checkpoint, then return the store's time: every verb begins here, and is synchronous from here on."""
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
        self._notify()
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
        self._made_ready.add(job.queue)
        return job

    def _notify(self) -> None:
        for hint, queues in self._pending_hints.items():
            for queue in queues:
                self._hint_channels.notify(hint, queue)
            queues.clear()

    async def claim(self, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
        now = await self._now()
        claim = Claim(worker, now + lease)
        open_queues = {name: self._shelves[name] for name in queues if not self._shelves[name].paused}
        left = PROMOTIONS
        for shelves in open_queues.values():
            left -= shelves.promote(now, left)
        timed = [shelves.first(shelves.timed) for shelves in open_queues.values()]
        last_life = [shelves for shelves in open_queues.values() if shelves.first(shelves.last_lives)]
        jobs: list[Job] = []
        if last_life and idle and limit:
            jobs += self._hold(last_life[0], last_life[0].last_lives, 1, claim, now)
            last_life = [shelves for shelves in last_life if shelves.first(shelves.last_lives)]
        else:
            for shelves in open_queues.values():
                jobs += self._hold(shelves, shelves.ready, limit - len(jobs), claim, now)
        return Claimed(
            now,
            jobs,
            next_due=min((job.run_at for job in timed if job is not None), default=None),
            paused=frozenset(queues) - open_queues.keys(),
            last_life=bool(last_life),
        )

    def _hold(self, shelves: _Shelves, heap: list[Ready], limit: int, claim: Claim, now: float) -> list[Job]:
        held = self._held[claim.worker]
        jobs: list[Job] = []
        while heap and len(jobs) < limit:
            waiting = shelves.current(heappop(heap))
            if waiting is None:
                continue
            job = advance(waiting, claim, now)
            shelves.put(job)
            held[job.queue, job.id] = None
            jobs.append(job)
        return jobs

    async def settle(self, changes: Sequence[Change]) -> Settled:
        now = await self._now()
        verdicts = [self._settle(change, now) for change in changes]
        self._notify()
        return Settled(now, verdicts)

    def _settle(self, change: Change, now: float) -> Verdict:
        if change.also or change.inserts:
            return self._settle_whole(change, now)
        shelves = self._shelves[change.queue]
        refusal = _refusal(shelves.jobs, shelves.keys, change)
        if refusal is None:
            self._apply(change)
        elif _is_stored(shelves.jobs.get(change.id), change):
            return Verdict.STORED
        return refusal or Verdict.STORED

    def _settle_whole(self, change: Change, now: float) -> Verdict:
        """Store all parts or none.  Each sees what those before it have done: a step may free a new job's key."""
        parts = (change, *change.also)
        if all(_is_stored(self._shelves[part.queue].jobs.get(part.id), part) for part in parts):
            return Verdict.STORED
        queues = {part.queue for part in parts} | {job.queue for job in change.inserts}
        drafts = {queue: _Draft.of(self._shelves[queue]) for queue in queues}
        for part in parts:
            draft = drafts[part.queue]
            refusal = _refusal(draft.jobs, draft.keys, part)
            if refusal is not None:
                return refusal
            draft.put(draft.jobs[part.id].after(part))
        for job in change.inserts:
            refusal = drafts[job.queue].add(job)
            if refusal is not None:
                return refusal
        for part in parts:
            self._apply(part)
        for job in change.inserts:
            self._add(job, now)
        return Verdict.STORED

    def _apply(self, change: Change) -> None:
        shelves = self._shelves[change.queue]
        before = shelves.jobs[change.id]
        job = before.after(change)
        if before.lease_until is not None and before.worker is not None:
            self._held[before.worker].pop((job.queue, job.id), None)
            if job.state is State.CANCELLED:
                self._cancelled.add(job.queue)
        shelves.put(job)
        (self._finished if job.finished_at is not None else self._made_ready).add(job.queue)

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
                # A renewal is no step, so no index changes: the record alone is replaced.
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
            job = shelves.current(heappop(shelves.expiring))
            if job is not None:
                found.append(job)
        for job in found:  # they are returned until a worker settles them
            heappush(shelves.expiring, (job.expires_at or 0.0, job.seq, job.id, job.version))
        return found

    async def get(self, queue: str, ids: Sequence[str]) -> Found:
        now = await self._now()
        return Found(now, [self._shelves[queue].jobs.get(id) for id in ids])

    async def have_ended(self, queue: str, ids: Sequence[str]) -> list[bool]:
        await self._now()
        jobs = self._shelves[queue].jobs
        return [id not in jobs or jobs[id].state.final for id in ids]

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
        return {**self._shelves[queue].counts}

    async def queues(self) -> list[str]:
        await self._now()
        return sorted(name for name, shelves in self._shelves.items() if shelves.jobs or shelves.paused)

    async def pause(self, queue: str) -> float:
        now = await self._now()
        self._shelves[queue].paused = True
        self._hint_channels.notify(Hint.PAUSED, queue)
        return now

    async def resume(self, queue: str) -> float:
        now = await self._now()
        self._shelves[queue].paused = False
        self._hint_channels.notify(Hint.PAUSED | Hint.READY, queue)
        return now

    async def is_queue_paused(self, queue: str) -> bool:
        await self._now()
        return self._shelves[queue].paused

    def watch(self, queues: Sequence[str]) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        return self.watch_only(ALL_HINTS, queues)

    def watch_only(
        self, hints: Hint, queues: Sequence[str]
    ) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        self.require_open()
        return self._hint_channels.watch(queues, hints)

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

    async def prune(self, queues: Sequence[str], limits: Retention, batch: int = 1_000) -> int:
        now = await self._now()
        dropped = 0
        for shelves in [self._shelves[queue] for queue in queues if queue in self._shelves]:
            ended = shelves.counts[State.COMPLETED] + shelves.counts[State.CANCELLED]
            dead = shelves.counts[State.FAILED] + shelves.counts[State.EXPIRED]
            for line, keep, most, there in (
                (shelves.finished, limits.keep_completed, limits.keep_completed_max, ended),
                (shelves.dead, limits.keep_dead, limits.keep_dead_max, dead),
            ):
                for job in _past(shelves, line, now - keep, there - most):
                    if dropped == batch:
                        return dropped
                    heappop(line)
                    shelves.drop(job)
                    dropped += 1
        return dropped

    async def workers(self) -> list[Presence]:
        now = await self._now()
        self._seen = {id: (at, seen) for id, (at, seen) in self._seen.items() if at + seen.lease > now}
        return [seen for _, seen in self._seen.values()]

    async def migrate(self) -> None:
        """Do nothing: there is no layout."""
        await trio.lowlevel.checkpoint()


def _past(shelves: _Shelves, line: list[tuple[float, int, str, int]], oldest: float, too_many: int) -> Iterator[Job]:
    """Yield the jobs at the head of *line* that are past retention; the caller pops each that it drops."""
    while line:
        job = shelves.current(line[0])
        if job is None:
            heappop(line)
        elif line[0][0] <= oldest or too_many > 0:
            too_many -= 1
            yield job
        else:
            return


def _refusal(jobs: Mapping[str, Job], keys: Mapping[str, str], change: Change) -> Verdict | None:
    """Return why the change can't be stored over these records; None if it can."""
    job = jobs.get(change.id)
    if job is None or not _matches(job, change):
        return Verdict.STALE
    if job.unique_key is None or change.state.final:
        return None
    return Verdict.KEY_TAKEN if keys.get(job.unique_key, "") not in ("", job.id) else None


def _matches(job: Job, change: Change) -> bool:
    """Whether the record is still the one that the change was made from."""
    if job.seq != change.seq or job.version != change.version:
        return False
    return change.lease_until is None or job.lease_until == change.lease_until


def _is_stored(job: Job | None, change: Change) -> bool:
    """Whether the record already holds the change: a repeated write is not stale."""
    if job is None or job.seq != change.seq or job.version != change.version + 1:
        return False
    return all(job.__dict__[name] == value for name, value in change.fields.items())
