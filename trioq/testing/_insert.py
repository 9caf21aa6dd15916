"""Checks of ``insert``: what is new, what was known, and what the store fills in."""

from __future__ import annotations

from ..lifecycle import Cancel, Complete, Requeue, stamp
from ._given import LONG, OTHER, QUEUE, Make, a_job, all_ids, assert_same, claimed_ids, held, move, some_jobs, stored


async def check_insert_stores_what_the_pure_stamp_says(make: Make) -> None:
    """Insert stores a new job as the pure stamp makes it, by the store's clock; nothing else of it changes."""
    async with make() as backend:
        jobs = [
            a_job("now"),
            a_job("later", delay=LONG),
            a_job("at once", delay=0.0),
            a_job("in the past", run_at=1.5),
            a_job("far away", run_at=2e10),
            a_job("short-lived", ttl=LONG),
            a_job("elsewhere", queue=OTHER, delay=1.0, ttl=2.0, priority=-(2**15)),
        ]
        reply = await backend.insert(jobs)
        assert list(reply.created) == [True] * len(jobs), "all of them are new"
        stamped = [stamp(job, new.seq, reply.now) for job, new in zip(jobs, reply.jobs, strict=True)]
        assert_same(reply.jobs, stamped, "insert answers the stamped records")
        assert_same([await stored(backend, job) for job in jobs], stamped, "insert stores what it answers")


async def check_insert_returns_the_known_job_for_a_known_id(make: Make) -> None:
    """Inserting an id that the queue has answers that job as it is now, also after it ended, and stores nothing."""
    async with make() as backend:
        [active] = await held(backend, a_job("1", payload=b"first"))
        reply = await backend.insert([a_job("1", payload=b"second", task="other")])
        assert list(reply.created) == [False], "a known id is not created again"
        assert_same(reply.jobs, [active], "a known id answers the job that has it")
        done = await move(backend, active, Complete(b"1"))
        assert_same((await backend.insert([a_job("1")])).jobs, [done], "an id is known as long as its record is kept")
        assert await all_ids(backend) == ["1"], "nothing was stored"


async def check_insert_returns_the_live_job_for_a_live_unique_key(make: Make) -> None:
    """Inserting a unique key that a live job of the queue has answers that job, and stores nothing."""
    async with make() as backend:
        first = (await backend.insert([a_job("1", unique_key="k", delay=LONG)])).jobs
        reply = await backend.insert([a_job("2", unique_key="k"), a_job("3")])
        assert list(reply.created) == [False, True], "a live key refuses its own job only"
        assert_same(reply.jobs[:1], first, "a live key answers the job that has it")
        assert await all_ids(backend) == ["1", "3"], "the refused job is not stored"


async def check_a_unique_key_is_free_once_its_job_has_ended(make: Make) -> None:
    """Only live jobs hold a key: an ended or removed one gives it back, and a requeued one takes it again."""
    async with make() as backend:
        [job] = (await backend.insert([a_job("1", unique_key="k")])).jobs
        ended = await move(backend, job, Cancel())
        second = await backend.insert([a_job("2", unique_key="k")])
        assert list(second.created) == [True], "the key of an ended job is free"
        third = await backend.insert([a_job("3", unique_key="k")])
        assert_same(third.jobs, second.jobs, "a key leads to the live job that has it, and to no ended one")
        assert await backend.remove(QUEUE, ["2"]) == [True]
        await move(backend, ended, Requeue())
        reply = await backend.insert([a_job("3", unique_key="k")])
        assert list(reply.created) == [False], "a requeued job has its key again"
        assert reply.jobs[0].id == "1", "a requeued job has its key again"


async def check_first_of_a_batch_wins(make: Make) -> None:
    """Of two jobs of one batch with the same id, or the same unique key, the first is stored."""
    async with make() as backend:
        batch = [
            a_job("1", payload=b"a"),
            a_job("1", payload=b"b"),
            a_job("2", unique_key="k"),
            a_job("3", unique_key="k"),
            a_job("4"),
        ]
        reply = await backend.insert(batch)
        assert list(reply.created) == [True, False, True, False, True], "the first of a batch wins"
        assert [job.id for job in reply.jobs] == ["1", "1", "2", "2", "4"], "the others answer the first"
        assert reply.jobs[1].payload == b"a", "the others answer the first"
        assert await all_ids(backend) == ["1", "2", "4"], "the others are not stored"


async def check_ids_and_unique_keys_belong_to_one_queue(make: Make) -> None:
    """Two queues may each have a job of the same id, and of the same unique key, also in one batch."""
    async with make() as backend:
        batch = [a_job("1", unique_key="k", queue=queue) for queue in (QUEUE, OTHER)]
        assert list((await backend.insert(batch)).created) == [True, True], "queues don't know each other"
        [mine, theirs] = [(await backend.get(queue, ["1"])).jobs[0] for queue in (QUEUE, OTHER)]
        assert mine is not None
        assert theirs is not None
        await move(backend, mine, Cancel())
        assert_same([await stored(backend, theirs)], [theirs], "a change in one queue changes no other")


async def check_seqs_grow_and_are_never_used_twice(make: Make) -> None:
    """Seqs grow in the order of insertion, and a seq whose record is gone does not come back."""
    async with make() as backend:
        seqs = [job.seq for job in (await backend.insert(some_jobs(5))).jobs]
        assert await backend.remove(QUEUE, ["3", "4"]) == [True, True]
        seqs += [job.seq for job in (await backend.insert([a_job("4"), a_job("5", queue=OTHER)])).jobs]
        assert seqs == sorted(set(seqs)), f"seqs grow, whatever was removed, not {seqs}"


async def check_an_id_that_comes_back_begins_anew(make: Make) -> None:
    """A new job with the id of a removed one inherits nothing from it: no time, no priority, no past."""
    async with make() as backend:
        await backend.insert([a_job("1", priority=-1), a_job("2", ttl=0.0), a_job("3", unique_key="k")])
        assert await backend.remove(QUEUE, ["1", "2", "3"]) == [True, True, True]
        jobs = [a_job("1", delay=LONG), a_job("2"), a_job("3")]
        assert list((await backend.insert(jobs)).created) == [True, True, True], "a removed id may come back"
        assert list((await backend.overdue(10)).jobs) == [], "the old TTL is forgotten"
        assert await claimed_ids(backend) == ["2", "3"], "the old readiness is forgotten"
        assert list((await backend.insert([a_job("4", unique_key="k")])).created) == [True], "the old key is free"
