"""Random programs leave each backend and a naive model in the same place, although clients write late or twice.

The life of one job is in ``test_lifecycle``; here are many of them, in several queues, with several workers, and
snapshots from any time: most of what goes wrong in a store is a write by a client that has read it long ago.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests import strategies as sts
from property_tests.backend_model import BackendModel
from property_tests.backends import Make
from trioq.abc import Backend, Filter, Lease, Presence, Retention
from trioq.lifecycle import (
    TABLE,
    Cancel,
    Change,
    Command,
    Complete,
    Expire,
    Fail,
    IllegalStep,
    Job,
    Reclaim,
    Reject,
    Release,
    Requeue,
    Snooze,
    State,
    broken_rules,
    step,
)

#: By how many seconds a store's clock may be off from Trio's: stores count in microseconds, or with rounded floats.
_EXACT_TO = 1e-5

_QUEUES = ["a", "b"]
_IDS = ["1", "2", "3"]
_WORKERS = ["ada-1", "bob-2"]

#: A program has a hundred steps, and each is a look at the whole store.
_PROGRAMS: Final = settings().max_examples // 4

#: Programs of one test: those of a long run are cut into parts that can go side by side.
_A_PART: Final = 60

_seconds = sts.durations(30.0)
_leases = _seconds.map(lambda seconds: seconds + sts.TICK)
_queues = st.sampled_from(_QUEUES)
_ids = st.sampled_from(_IDS)

_new_jobs = st.builds(
    Job,
    id=_ids,
    queue=_queues,
    task=st.sampled_from(["send", "count"]),
    payload=st.sampled_from([b"[[],{}]", b"\0\xff"]),
    priority=st.sampled_from([0, 0, -1, 1]),
    delay=st.none() | _seconds,
    run_at=st.just(0.0) | _seconds,  # from the beginning on; the store's time is not known yet
    ttl=st.none() | _seconds,
    max_retries=st.integers(0, 2),
    max_crashes=st.integers(1, 3),
    unique_key=st.none() | st.just("k"),
    metadata=st.just({}) | st.just({"tags": [1, None]}),
    extra=st.just({}) | st.just({"colour": "red"}),
)

#: What a client settles: every command but Claim, the only step that a store makes itself.
_COMMANDS: dict[type[Command], st.SearchStrategy[Command]] = {
    Complete: st.builds(Complete, st.sampled_from([b"1", b"2", None])),
    Fail: st.builds(Fail, st.sampled_from(["no", "never"]), _seconds),
    Reject: st.just(Reject("no")),
    Snooze: st.builds(Snooze, _seconds),
    Release: st.just(Release()),
    Expire: st.just(Expire()),
    Cancel: st.builds(Cancel, st.sampled_from(["", "unsubscribed"])),
    Reclaim: st.just(Reclaim()),
    Requeue: st.just(Requeue()),
}


class Program:
    """One backend, one model of it, and clients that do something to both."""

    def __init__(self, backend: Backend, data: st.DataObject) -> None:
        self.backend = backend
        self.model = BackendModel()
        self.data = data
        self.page = data.draw(st.sampled_from([1, 2, 100]), label="records a page")
        self.current: list[Job] = []  #: every record, as it is now
        self.seen: list[Job] = []  #: every record as it was at some time
        self.sent: list[list[Change]] = []
        self.began = self.now = 0.0  #: the store's time at the beginning, and as last read
        self.began_here = trio.current_time()
        self.last_seq = 0

    def draw(self, strategy: st.SearchStrategy[Any], label: str | None = None) -> Any:
        return self.data.draw(strategy, label)

    async def run(self, steps: int) -> None:
        self.began = self.now = await self.ask_the_time()
        await self.enqueue()
        for _ in range(steps):
            act = self.draw(st.sampled_from(self.ACTS), "next")
            await act(self)
            await self.agree()

    # -- clients --

    async def enqueue(self) -> None:
        jobs = self.some_new_jobs(1, 3)
        reply = await self.backend.insert(jobs)
        self.note_time(reply.now)
        wanted = []
        for job, stored, new in zip(jobs, reply.jobs, reply.created, strict=True):
            if new:
                self.expect_a_fresh(stored.seq)
            record, created = self.model.insert(dict(job.__dict__), stored.seq, reply.now)
            wanted.append((dict(record), created))
        assert [(job.__dict__, new) for job, new in zip(reply.jobs, reply.created, strict=True)] == wanted

    async def claim(self) -> None:
        queues = self.draw(st.permutations(_QUEUES) | st.lists(_queues, max_size=3), "queues")
        limit, idle = self.draw(st.integers(0, 4), "limit"), self.draw(st.booleans(), "idle")
        worker, lease = self.draw(st.sampled_from(_WORKERS), "worker"), self.draw(_leases, "lease")
        reply = await self.backend.claim(queues, limit, worker, lease, idle)
        self.note_time(reply.now)
        handed_out = self.model.claim(queues, limit, worker, lease, idle, reply.now)
        assert [job.__dict__ for job in reply.jobs] == handed_out
        assert reply.next_due == self.model.next_due(queues, reply.now)
        assert reply.last_life == self.model.last_life_waits(queues, reply.now)
        assert reply.paused == self.model.paused & set(queues)

    async def settle(self) -> None:
        """A batch of steps by clients that have read the store now or at any time before; their clocks may be off."""
        changes = [change for _ in range(self.draw(st.integers(1, 3), "changes")) for change in self.some_change()]
        await self.send(changes)

    async def settle_one_job_often(self) -> None:
        """A batch about one job: steps from the versions that were read last, and writes that come once more."""
        for job in self.some_job():
            versions = [seen for seen in self.seen if (seen.queue, seen.seq) == (job.queue, job.seq)][-3:]
            sent = [each for batch in self.sent for each in batch if (each.queue, each.seq) == (job.queue, job.seq)]
            changes: list[Change] = []
            for _ in range(self.draw(st.integers(2, 6), "changes")):
                if sent and self.draw(st.booleans(), "once more"):
                    changes.append(self.draw(st.sampled_from(sent[-4:]), "sent before"))
                    continue
                version = self.draw(st.sampled_from(versions), "version")
                changes += self.some_change_of(version)
                sent += changes[-1:]
            await self.send(changes)

    async def settle_as_a_whole(self) -> None:
        """Some steps, of the same job or others, and new jobs, that are to be stored together."""
        parts = [change for _ in range(self.draw(st.integers(1, 3), "parts")) for change in self.some_change()]
        inserts = self.some_new_jobs(0, 2)
        steps = {(part.queue, part.id, part.version) for part in parts}
        if parts and len(steps) == len(parts):  # a change that names one step twice means nothing
            await self.send([attrs.evolve(parts[0], also=tuple(parts[1:]), inserts=tuple(inserts))])

    async def repeat_a_write(self) -> None:
        if self.sent:
            await self.send(self.draw(st.sampled_from(self.sent), "once more"))

    async def renew(self) -> None:
        worker = Presence(
            worker=self.draw(st.sampled_from(_WORKERS), "worker"),
            name="w",
            host="h",
            slots=3,
            lease=self.draw(_leases, "lease"),
            leaving=self.draw(st.booleans(), "leaving"),
        )
        leases = [
            Lease(job.queue, job.id, job.run, self.draw(st.sampled_from([None, 0, {"done": 0.5}]), "progress"))
            for _ in range(self.draw(st.integers(0, 3), "leases"))
            for job in self.some_job()
            if self.may_list(worker.worker, job)
        ]
        reply = await self.backend.renew(worker, leases)
        self.note_time(reply.now)
        assert reply.lost == self.model.renew(worker, leases, reply.now)
        listed = {(lease.queue, lease.id) for lease in leases}
        assert sorted(reply.unlisted) == sorted(self.model.held_by(worker.worker) - listed)

    def may_list(self, worker: str, job: Job) -> bool:
        """Whether this worker may list the lease of a job that it has read: the run alone fences."""
        return True

    async def sweep(self) -> None:
        """What any worker does now and then: reclaim and expire what is overdue."""
        limit = self.draw(st.sampled_from([100, 1]), "limit")
        reply = await self.backend.overdue(limit)
        self.note_time(reply.now)
        overdue = self.model.overdue(reply.now)
        found = [job.__dict__ for job in reply.jobs]
        assert len(found) == min(limit, len(overdue))
        assert all(record in overdue for record in found)
        if self.draw(st.booleans(), "and settles that"):
            commands = [Reclaim() if job.state is State.ACTIVE else Expire() for job in reply.jobs]
            await self.send([step(job, command, reply.now) for job, command in zip(reply.jobs, commands, strict=True)])

    async def remove(self) -> None:
        queue, ids = self.draw(_queues, "queue"), self.draw(st.lists(_ids, max_size=3), "ids")
        assert await self.backend.remove(queue, ids) == [self.model.remove(queue, id) for id in ids]

    async def prune(self) -> None:
        keep, most = st.sampled_from([0.0, 5.0, 100.0]), st.integers(0, 2) | st.just(100)
        limits = self.draw(
            st.builds(Retention, keep_completed=keep, keep_completed_max=most, keep_dead=keep, keep_dead_max=most)
        )
        queues = self.draw(st.lists(_queues, max_size=3), "queues")
        batch = self.draw(st.sampled_from([100, 1]), "batch")
        past = self.model.past_retention(queues, limits, self.now)
        assert await self.backend.prune(queues, limits, batch) == min(batch, len(past))
        for record in past if len(past) <= batch else await self.those_that_are_gone(past):
            self.model.records.remove(record)

    async def pause(self) -> None:
        queue = self.draw(_queues, "queue")
        self.note_time(await self.backend.pause(queue))
        self.model.paused.add(queue)

    async def resume(self) -> None:
        queue = self.draw(_queues, "queue")
        self.note_time(await self.backend.resume(queue))
        self.model.paused.discard(queue)

    async def wait(self) -> None:
        await self.pass_time(self.draw(_seconds, "seconds"))

    async def wait_for_a_deadline(self) -> None:
        """Until the very moment that a job comes due, or loses its lease, or expires; or until just before it."""
        times = {getattr(job, name) for job in self.current for name in ("run_at", "lease_until", "expires_at")}
        ahead = sorted(at for at in times if at is not None and at > self.now)
        if ahead:
            early = sts.TICK * self.draw(st.booleans(), "just before it")
            await self.pass_time(self.draw(st.sampled_from(ahead), "until") - early - self.now)

    ACTS = (
        *(enqueue, claim, claim, settle, settle, settle, settle_one_job_often, settle_one_job_often),
        *(settle_as_a_whole, repeat_a_write, renew, sweep),
        *(remove, prune, pause, resume, resume, wait, wait_for_a_deadline, wait_for_a_deadline),
    )

    # -- how they do it --

    def some_new_jobs(self, least: int, most: int) -> list[Job]:
        jobs = self.draw(st.lists(_new_jobs, min_size=least, max_size=most), "new jobs")
        return [job.having({"run_at": job.run_at and self.began + job.run_at}) for job in jobs]

    def some_job(self) -> list[Job]:
        """A record as a client has read it, if there is any: as it is, or as it was some time ago."""
        known = self.seen[-20:] if self.seen and self.draw(st.booleans(), "read earlier") else self.current
        return [self.draw(st.sampled_from(known), "job")] if known else []

    def some_change(self) -> list[Change]:
        """What a client wants to do to a job, if there is one and its state allows it."""
        return [change for job in self.some_job() for change in self.some_change_of(job)]

    def some_change_of(self, job: Job) -> list[Change]:
        """What a client that has read this record wants to do to it, if its state allows it."""
        now = self.now + self.draw(st.sampled_from([0.0, 0.0, -1.0, 1.0]), "clock error")
        kinds = [kind for kind in _COMMANDS if job.state in TABLE[kind].sources]
        kind = self.draw(st.sampled_from(kinds), "kind")
        try:
            return [step(job, self.draw(_COMMANDS[kind], "command"), now)]
        except IllegalStep:
            return []

    def half_stored(self, change: Change) -> bool:
        """Whether some steps of it are there and others not: no store can tell whose, and the design is silent.

        A client may have made one of them just the same, or all were stored and one job has moved on since.
        """
        return len({self.model.is_stored(part) for part in (change, *change.also)}) > 1

    async def send(self, changes: list[Change]) -> None:
        if any(self.half_stored(change) for change in changes):
            return
        reply = await self.backend.settle(changes)
        self.note_time(reply.now)
        seqs = {}
        for job in (job for change in changes for job in change.inserts):
            for stored in (await self.backend.get(job.queue, [job.id])).jobs:
                if stored is not None and stored.seq > self.last_seq:
                    seqs[job.queue, job.id] = stored.seq
        verdicts = [self.model.settle(change, seqs, reply.now) for change in changes]
        assert list(reply.verdicts) == verdicts
        self.last_seq = max([self.last_seq, *seqs.values()])
        self.sent.append(changes)
        for verdict in verdicts:
            event(f"verdict: {verdict}")

    async def those_that_are_gone(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Which of them were dropped: of more than a batch, any may be."""
        return [
            record for record in records if (await self.backend.get(record["queue"], [record["id"]])).jobs == [None]
        ]

    async def pass_time(self, seconds: float) -> None:
        await trio.sleep(max(0.0, seconds))
        self.note_time(await self.ask_the_time())

    async def ask_the_time(self) -> float:
        return (await self.backend.get(_QUEUES[0], [])).now

    def note_time(self, now: float) -> None:
        passed = trio.current_time() - self.began_here
        assert now >= self.now, "the store's time never goes back"
        assert abs(now - self.began - passed) < _EXACT_TO, "the store's clock follows Trio's"
        self.now = now

    def expect_a_fresh(self, seq: int) -> None:
        assert seq > self.last_seq, "a seq is never used twice, and grows"
        self.last_seq = seq

    # -- and what should have come of it --

    async def agree(self) -> None:
        """The whole store equals the model, and no record breaks a rule."""
        self.current = []
        for queue in _QUEUES:
            jobs = await self.all_of(queue)
            assert [job.__dict__ for job in jobs] == self.model.all_of(queue)
            assert await self.backend.counts(queue) == {state: self.model.count(queue, state) for state in State}
            assert await self.backend.is_queue_paused(queue) == (queue in self.model.paused)
            live = {job.id for job in jobs if not job.state.final}
            assert await self.backend.have_ended(queue, _IDS) == [id not in live for id in _IDS]
            self.current += jobs
        assert sorted(await self.backend.queues()) == self.model.queues()
        assert {job.id: broken_rules(job) for job in self.current if broken_rules(job)} == {}
        self.seen += [job for job in self.current if job not in self.seen[-30:]]
        here = {worker for worker, until in self.model.presences.values() if until > self.now}
        leaving_now = {worker for worker, until in self.model.presences.values() if until == self.now}
        assert here <= set(await self.backend.workers()) <= here | leaving_now

    async def all_of(self, queue: str) -> list[Job]:
        jobs: list[Job] = []
        cursor = None
        while True:
            page = await self.backend.find(Filter(queue=queue), cursor, self.page)
            jobs += page.jobs
            cursor = page.cursor
            if cursor is None:
                return jobs


@pytest.mark.parametrize("part", range(-(-_PROGRAMS // _A_PART)))
@settings(max_examples=min(_PROGRAMS, _A_PART))
@given(data=st.data())
def test_any_program_leaves_the_backend_and_the_model_in_the_same_place(
    make: Make, data: st.DataObject, part: int
) -> None:
    """After any program of verbs, by any client, from however old a snapshot and however often repeated, each reply is
    the one that a naive model of the store gives, the whole store equals the model, and every record is sound.

    Programs enqueue, claim, settle, renew, reclaim, expire, cancel, requeue, remove, prune, pause and resume, and let
    time pass up to a deadline, or to just before it.  They compare after every step.
    """

    async def main() -> None:
        async with make() as backend:
            await Program(backend, data).run(2 * settings().stateful_step_count)

    trio.run(main, clock=MockClock(autojump_threshold=0))
