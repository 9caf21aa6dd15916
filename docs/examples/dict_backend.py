"""A whole backend: correct, and as slow as it is short, for each verb reads every job."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import trio
import trioq
from trioq.abc import (
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
from trioq.lifecycle import Change, Claim, IllegalStep, Job, Shelf, State, advance, stamp

Jobs = dict[tuple[str, str], Job]


class HintChannel:
    """The hints of one watcher: those that it has not read yet are one."""

    def __init__(self) -> None:
        self.send, self.receive = trio.open_memory_channel[Hint](1)

    def notify(self, hint: Hint) -> None:
        try:
            hint |= self.receive.receive_nowait()
        except trio.WouldBlock:
            pass
        self.send.send_nowait(hint)


class DictBackend(Backend):
    """Jobs in a dict."""

    def __init__(self) -> None:
        self.jobs: Jobs = {}
        self.seq = 0
        self.paused: set[str] = set()
        self.present: dict[str, tuple[float, Presence]] = {}
        self.hint_channels: dict[HintChannel, frozenset[str]] = {}
        self.latest = 0.0

    # --- time: the wall clock when it is opened, then Trio's; a checkpoint for each verb ---

    async def _start(self) -> None:
        self.offset = max(time.time(), self.latest) - trio.current_time()

    async def now(self) -> float:
        self.require_open()
        await trio.lowlevel.checkpoint()  # from here to its end, a verb is atomic: it never awaits
        self.latest = self.offset + trio.current_time()
        return self.latest

    # --- hints ---

    @asynccontextmanager
    async def watch(self, queues: Sequence[str]) -> AsyncIterator[trio.abc.ReceiveChannel[Hint]]:
        await self.now()
        channel = HintChannel()
        self.hint_channels[channel] = frozenset(queues)
        try:
            with channel.send, channel.receive:
                yield channel.receive
        finally:
            del self.hint_channels[channel]

    def notify(self, hint: Hint, queue: str) -> None:
        for channel, queues in self.hint_channels.items():
            if queue in queues:
                channel.notify(hint)

    # --- insert, claim, settle ---

    async def insert(self, jobs: Sequence[Job]) -> Inserted:
        now = await self.now()
        stored, created = [], []
        for job in jobs:
            known = self.jobs.get((job.queue, job.id)) or owner_of_key(self.jobs, job)
            stored.append(known or self.add(self.jobs, job, now))
            created.append(known is None)
            self.notify(Hint.READY, job.queue)
        return Inserted(now, stored, created)

    def add(self, jobs: Jobs, job: Job, now: float) -> Job:
        self.seq += 1
        jobs[job.queue, job.id] = stamped = stamp(job, self.seq, now)
        return stamped

    async def claim(self, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
        now = await self.now()
        command = Claim(worker, now + lease)
        ready: list[Job] = []
        timed: list[float] = []
        for queue in dict.fromkeys(queues):  # each once, however often it is named
            if queue not in self.paused:
                here = sorted(self.of(queue), key=lambda job: (job.priority, job.run_at, job.seq))
                ready += [job for job in here if may(job, command, now)]
                timed += [job.run_at for job in here if job.state.shelf is Shelf.TIMED and job.run_at > now]
        last_lives = [job for job in ready if job.last_life]
        if last_lives and idle and limit:
            chosen, last_lives = last_lives[:1], last_lives[1:]
        else:
            chosen = [job for job in ready if not job.last_life][:limit]
        claimed = [advance(job, command, now) for job in chosen]
        self.jobs.update(((job.queue, job.id), job) for job in claimed)
        return Claimed(now, claimed, min(timed, default=None), self.paused.intersection(queues), bool(last_lives))

    async def settle(self, changes: Sequence[Change]) -> Settled:
        now = await self.now()
        return Settled(now, [self.settle_one(change, now) for change in changes])

    def settle_one(self, change: Change, now: float) -> Verdict:
        parts = (change, *change.also)
        if all(is_stored(self.jobs.get((part.queue, part.id)), part) for part in parts):
            return Verdict.STORED
        draft = dict(self.jobs)  # all parts are stored, or none
        for part in parts:
            job = draft.get((part.queue, part.id))
            if job is None or not matches(job, part):
                return Verdict.STALE
            after = job.after(part)
            if owner_of_key(draft, after) not in (None, job) and not after.state.final:
                return Verdict.KEY_TAKEN
            draft[part.queue, part.id] = after
        for job in change.inserts:
            if (job.queue, job.id) in draft:
                return Verdict.STALE
            if owner_of_key(draft, job):
                return Verdict.KEY_TAKEN
            self.add(draft, job, now)
        for part in parts:
            held = self.jobs[part.queue, part.id].state is State.ACTIVE
            self.notify(Hint.FINISHED if part.state.final else Hint.READY, part.queue)
            if held and part.state is State.CANCELLED:
                self.notify(Hint.CANCELLED, part.queue)
        for job in change.inserts:
            self.notify(Hint.READY, job.queue)
        self.jobs = draft
        return Verdict.STORED

    # --- leases ---

    async def renew(self, worker: Presence, leases: Sequence[Lease]) -> Renewed:
        now = await self.now()
        self.present[worker.worker] = (now, worker)
        lost: dict[Lease, Loss] = {}
        for lease in leases:
            job = self.jobs.get((lease.queue, lease.id))
            if job is None:
                lost[lease] = Loss.GONE
            elif job.run == lease.run and job.state is State.ACTIVE:
                progress = job.progress if lease.progress is None else lease.progress
                self.jobs[job.queue, job.id] = job.having({"lease_until": now + worker.lease, "progress": progress})
            else:
                cancelled = job.run == lease.run and job.state is State.CANCELLED
                lost[lease] = Loss.CANCELLED if cancelled else Loss.RECLAIMED
        listed = {(lease.queue, lease.id) for lease in leases}
        held = [key for key, job in self.jobs.items() if job.state is State.ACTIVE and job.worker == worker.worker]
        return Renewed(now, lost, [key for key in held if key not in listed])

    async def overdue(self, limit: int) -> Overdue:
        now = await self.now()
        return Overdue(now, [job for job in self.jobs.values() if is_overdue(job, now)][:limit])

    async def workers(self) -> list[Presence]:
        now = await self.now()
        return [worker for at, worker in self.present.values() if at + worker.lease > now]

    # --- read verbs ---

    def of(self, queue: str) -> Iterator[Job]:
        return (job for job in self.jobs.values() if job.queue == queue)

    async def get(self, queue: str, ids: Sequence[str]) -> Found:
        return Found(await self.now(), [self.jobs.get((queue, id)) for id in ids])

    async def find(self, filter: Filter, cursor: int | None = None, limit: int = 100) -> Page:
        now = await self.now()
        jobs = sorted((job for job in self.of(filter.queue) if job.seq > (cursor or 0)), key=lambda job: job.seq)
        found = [job for job in jobs if job.state in filter.states and filter.task in (None, job.task)]
        return Page(now, found[:limit], found[limit - 1].seq if len(found) > limit else None)

    async def counts(self, queue: str) -> dict[State, int]:
        await self.now()
        counts = Counter(job.state for job in self.of(queue))
        return {state: counts[state] for state in State}

    async def queues(self) -> list[str]:
        await self.now()
        return sorted({job.queue for job in self.jobs.values()} | self.paused)

    # --- pausing and tidying ---

    async def pause(self, queue: str) -> float:
        now = await self.now()
        self.paused.add(queue)
        self.notify(Hint.PAUSED, queue)
        return now

    async def resume(self, queue: str) -> float:
        now = await self.now()
        self.paused.discard(queue)
        self.notify(Hint.PAUSED | Hint.READY, queue)
        return now

    async def is_queue_paused(self, queue: str) -> bool:
        await self.now()
        return queue in self.paused

    async def remove(self, queue: str, ids: Sequence[str]) -> list[bool]:
        await self.now()
        removed = []
        for id in ids:
            job = self.jobs.get((queue, id))
            removed.append(job is not None and job.state is not State.ACTIVE)
            if removed[-1]:
                del self.jobs[queue, id]
        return removed

    async def prune(self, queues: Sequence[str], limits: Retention, batch: int = 1_000) -> int:
        now = await self.now()
        past: list[Job] = []
        for queue in dict.fromkeys(queues):
            for states, keep, most in (
                ((State.COMPLETED, State.CANCELLED), limits.keep_completed, limits.keep_completed_max),
                ((State.FAILED, State.EXPIRED), limits.keep_dead, limits.keep_dead_max),
            ):
                ended = sorted(
                    (job for job in self.of(queue) if job.state in states), key=lambda job: (job.finished_at, job.seq)
                )
                too_many = len(ended) - most
                past += [job for n, job in enumerate(ended) if n < too_many or job.finished_at <= now - keep]
        for job in past[:batch]:
            del self.jobs[job.queue, job.id]
        return len(past[:batch])


def may(job: Job, command: Claim, now: float) -> bool:
    """Whether the table lets the job be claimed."""
    try:
        advance(job, command, now)
    except IllegalStep:
        return False
    return True


def owner_of_key(jobs: Jobs, wanted: Job) -> Job | None:
    """The live job that has the unique key of this one."""
    for job in jobs.values():
        same = job.queue == wanted.queue and job.unique_key == wanted.unique_key is not None
        if same and not job.state.final:
            return job
    return None


def matches(job: Job, change: Change) -> bool:
    """Whether the record is what the change was made from."""
    lease_kept = change.lease_until is None or change.lease_until == job.lease_until
    return (job.seq, job.version) == (change.seq, change.version) and lease_kept


def is_stored(job: Job | None, change: Change) -> bool:
    """Whether the record is what the change makes: then it was stored before."""
    if job is None or (job.seq, job.version) != (change.seq, change.version + 1):
        return False
    return all(getattr(job, name) == value for name, value in change.fields.items())


def is_overdue(job: Job, now: float) -> bool:
    """Whether the lease has run out, or the TTL of a job that no worker has claimed."""
    if job.state.shelf is Shelf.HELD:
        return job.lease_until <= now
    return job.state.shelf in (Shelf.READY, Shelf.TIMED) and job.expires_at is not None and job.expires_at <= now


async def main() -> None:
    queue = trioq.Queue("numbers", backend=DictBackend())

    @queue.task
    async def double(number: int) -> int:
        return 2 * number

    async with queue:
        job = await double.enqueue(21)
        await trioq.Worker(queue).run_until_idle()
        print(await job.result())


if __name__ == "__main__":
    trio.run(main)
