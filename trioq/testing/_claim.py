"""Checks of ``claim``: which jobs, in which order, to which worker, and what the reply says of the rest."""

from __future__ import annotations

import trio

from ..abc import Backend
from ..lifecycle import Cancel, Claim, Command, Fail, Job, Reclaim, Release, Snooze, State, step
from ._given import (
    ADA,
    BOB,
    LONG,
    OTHER,
    QUEUE,
    SHORT,
    Make,
    a_job,
    assert_same,
    claim,
    claimed_ids,
    held,
    lose,
    move,
    some_jobs,
    store_time,
    stored,
    wait_until,
)


async def check_claim_equals_the_pure_step(make: Make) -> None:
    """As answered and as stored, a claimed job is what the pure Claim step makes at the reply's now, in every run."""
    async with make() as backend:
        jobs = [a_job("1", ttl=LONG, metadata={"a": [1]}), a_job("2", delay=0.0), a_job("3", queue=OTHER)]
        befores = list((await backend.insert(jobs)).jobs)
        for worker in (ADA, BOB):
            reply = await claim(backend, [QUEUE, OTHER], worker=worker, lease=LONG)
            command = Claim(worker, reply.now + LONG)
            claimed = [before.after(step(before, command, reply.now)) for before in befores]
            assert_same(reply.jobs, claimed, "a claim answers the pure step")
            assert_same([await stored(backend, job) for job in jobs], claimed, "a claim stores what it answers")
            befores = [await move(backend, job, Release()) for job in claimed]


async def check_claim_order_is_priority_then_readiness_then_seq(make: Make) -> None:
    """Jobs are handed out by priority, lower numbers first, then the longest ready first, then the first inserted."""
    async with make() as backend:
        await backend.insert(
            [
                a_job("least", priority=2**15 - 1),
                a_job("late", delay=SHORT),
                a_job("later", delay=SHORT * 1.5),
                a_job("early"),
                a_job("early too"),
                a_job("urgent but later", priority=-1, delay=SHORT),
                a_job("most", priority=-(2**15)),
            ]
        )
        await wait_until(backend, (await stored(backend, a_job("later"))).run_at)
        await backend.insert([a_job("last"), a_job("urgent and last", priority=-1)])
        wanted = "most,urgent but later,urgent and last,early,early too,late,later,last,least".split(",")
        found: list[str] = []
        while ids := await claimed_ids(backend, limit=2):
            found += ids
        assert found == wanted, f"the order of claims was {found}"


async def check_timed_jobs_are_handed_out_once_due(make: Make) -> None:
    """A delayed, retried or snoozed job is handed out from its time on, and not before."""
    async with make() as backend:
        jobs = await held(backend, *(a_job(id) for id in ("retried", "snoozed", "not retried yet", "not yet")))
        await backend.insert([a_job("delayed", delay=SHORT / 2), a_job("not due yet", delay=LONG)])
        now = await store_time(backend)
        commands: list[Command] = [Fail("no", SHORT), Snooze(SHORT * 1.5), Fail("no", LONG), Snooze(LONG)]
        timed = [await move(backend, job, command, now) for job, command in zip(jobs, commands, strict=True)]
        await wait_until(backend, timed[1].run_at)
        assert await claimed_ids(backend) == ["delayed", "retried", "snoozed"], "what is due is handed out, by its time"
        assert await claimed_ids(backend) == [], "what is not due is not"


async def check_any_number_of_due_jobs_is_handed_out_in_the_end(make: Make) -> None:
    """However many jobs come due at once, claim after claim hands all of them out."""
    async with make() as backend:
        jobs = list((await backend.insert(some_jobs(1_100, delay=SHORT))).jobs)
        await wait_until(backend, jobs[-1].run_at)
        found: list[str] = []
        for _ in range(10):
            found += await claimed_ids(backend, limit=600)
        assert sorted(found) == sorted(job.id for job in jobs), f"{len(found)} of 1,100 due jobs were handed out"


async def check_queues_are_served_in_the_order_given(make: Make) -> None:
    """The first queue named is emptied first, whatever the priorities in the others; unnamed queues are left alone."""
    async with make() as backend:
        places = [("1", OTHER), ("2", QUEUE), ("3", OTHER), ("4", "third")]
        await backend.insert([a_job(id, queue=queue, priority=-int(id)) for id, queue in places])
        assert await claimed_ids(backend, queues=[OTHER, QUEUE], limit=1) == ["3"], "the first queue first"
        found = await claimed_ids(backend, queues=[QUEUE, OTHER, "unknown"])
        assert found == ["2", "1"], "whichever it is; and then the next"


async def check_a_queue_named_twice_is_asked_once(make: Make) -> None:
    """A claim that names a queue twice hands out each of its jobs once."""
    async with make() as backend:
        await backend.insert([*some_jobs(2), a_job("other", queue=OTHER)])
        found = await claimed_ids(backend, queues=[QUEUE, OTHER, QUEUE])
        assert found == ["0", "1", "other"], f"each job once, not {found}"


async def check_claim_takes_no_more_than_its_limit(make: Make) -> None:
    """A claim leases up to its limit over all queues, nothing at a limit of 0, and leaves the rest for the next."""
    async with make() as backend:
        await backend.insert([*some_jobs(3), a_job("other", queue=OTHER), a_job("another", queue=OTHER)])
        assert await claimed_ids(backend, limit=0) == [], "a limit of 0 takes nothing"
        assert await claimed_ids(backend, queues=[], limit=5) == [], "no queue, no job"
        assert await claimed_ids(backend, queues=[QUEUE, OTHER], limit=2) == ["0", "1"], "no more than the limit"
        assert await claimed_ids(backend, queues=[QUEUE, OTHER], limit=2) == ["2", "other"], "of all queues together"
        assert await claimed_ids(backend, queues=[QUEUE, OTHER], limit=9) == ["another"], "the rest, once"
        assert await claimed_ids(backend, queues=[QUEUE, OTHER], limit=9) == [], "nothing is handed out twice"


async def check_paused_queues_hand_out_nothing(make: Make) -> None:
    """A paused queue hands out nothing, due or ready; the reply names it; what is claimed can still be settled."""
    async with make() as backend:
        [active] = await held(backend, a_job("active"))
        await backend.insert([a_job("ready"), a_job("timed", delay=SHORT), a_job("last", max_crashes=1)])
        await backend.insert([a_job("other", queue=OTHER)])
        await backend.pause(QUEUE)
        await backend.pause(QUEUE)  # twice is once
        await backend.pause("not asked for")
        assert await backend.is_queue_paused(QUEUE), "a paused queue says so"
        assert not await backend.is_queue_paused(OTHER), "pausing one queue pauses no other"
        reply = await claim(backend, [QUEUE, OTHER], idle=True)
        assert [job.id for job in reply.jobs] == ["other"], "a paused queue hands out nothing"
        assert reply.paused == {QUEUE}, "the reply names the paused queues among those asked for"
        assert reply.next_due is None, "what comes due in a paused queue wakes no worker"
        assert not reply.last_life, "what waits in a paused queue concerns no worker"
        await move(backend, active, Release())
        await wait_until(backend, (await stored(backend, a_job("timed"))).run_at)
        assert await claimed_ids(backend) == [], "a paused queue hands out nothing, though it comes due"
        await backend.resume(QUEUE)
        assert not await backend.is_queue_paused(QUEUE), "a resumed queue says so"
        reply = await claim(backend)
        assert [job.id for job in reply.jobs] == ["active", "ready", "timed"], "a resumed queue hands out again"
        assert reply.paused == frozenset(), "a resumed queue is not paused"


async def check_a_last_life_job_goes_alone_to_an_idle_worker(make: Make) -> None:
    """A job that one more crash would end is handed out first and alone, to idle workers only; busy ones are told."""
    async with make() as backend:
        await backend.insert([*some_jobs(2), a_job("frail", max_crashes=1, priority=9), a_job("too", max_crashes=1)])
        busy = await claim(backend, limit=1)
        assert [job.id for job in busy.jobs] == ["0"], "a busy worker gets the others"
        assert busy.last_life, "a busy worker hears that a last-life job waits"
        idle = await claim(backend, idle=True)
        assert [job.id for job in idle.jobs] == ["too"], "an idle worker gets one last-life job, and it alone"
        assert idle.last_life, "another one still waits"
        assert (await claimed_ids(backend, idle=True)) == ["frail"], "then the other one"
        rest = await claim(backend, idle=True)
        assert ([job.id for job in rest.jobs], rest.last_life) == (["1"], False), "then all the others"


async def check_a_claim_of_none_only_tells_what_waits(make: Make) -> None:
    """A claim with a limit of 0 hands out nothing, and tells whether a job on its last life waits."""
    async with make() as backend:
        await backend.insert([a_job("1"), a_job("frail", max_crashes=1)])
        for idle in (False, True):
            reply = await claim(backend, limit=0, idle=idle)
            assert (list(reply.jobs), reply.last_life) == ([], True), "it looks, and takes nothing"
        assert await claimed_ids(backend, idle=True) == ["frail"], "what it saw is still there"
        assert not (await claim(backend, limit=0)).last_life, "nothing on its last life waits any more"


async def check_a_crash_leads_to_the_last_life(make: Make) -> None:
    """The last life begins with the last crash but one, also for a job that is timed by then."""
    async with make() as backend:
        [job] = await held(backend, a_job("1", max_crashes=2))
        waiting = await move(backend, await lose(backend, job), Reclaim())
        assert waiting.last_life
        assert await claimed_ids(backend) == [], "a busy worker does not get it"
        [again] = (await claim(backend, idle=True)).jobs
        timed = await move(backend, again, Snooze(SHORT))
        await wait_until(backend, timed.run_at)
        busy = await claim(backend)
        assert (list(busy.jobs), busy.last_life) == ([], True), "once due, a busy worker hears of it"
        assert await claimed_ids(backend, idle=True) == ["1"], "once due, an idle one gets it"


async def check_next_due_is_when_the_next_timed_job_comes(make: Make) -> None:
    """A claim says when the next timed job of its queues comes due, and nothing where there is none."""
    async with make() as backend:
        assert (await claim(backend)).next_due is None, "nothing is timed"
        jobs = [a_job("1", delay=LONG * 2), a_job("2", delay=LONG), a_job("soon", delay=SHORT)]
        late, early, soon = (await backend.insert(jobs)).jobs
        [other] = (await backend.insert([a_job("4", queue=OTHER, delay=LONG / 2)])).jobs
        await wait_until(backend, soon.run_at)
        reply = await claim(backend, limit=0)
        assert reply.next_due == early.run_at, "the earliest that is not due yet, of its queues"
        assert await claimed_ids(backend) == ["soon"]
        assert (await claim(backend, [QUEUE, OTHER])).next_due == other.run_at, "the earliest of all its queues"
        await move(backend, early, Cancel())
        assert (await claim(backend)).next_due == late.run_at, "what has moved on comes due no more"


async def check_concurrent_claims_never_hand_out_a_job_twice(make: Make) -> None:
    """However many workers claim at once, each job goes to one of them."""
    async with make() as backend:
        await backend.insert([*some_jobs(40), *some_jobs(20, queue=OTHER)])
        taken: list[Job] = []
        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(_take_all, backend, f"worker-{number}", taken)
        assert len(taken) == 60, f"60 jobs were handed out {len(taken)} times"
        assert len({(job.queue, job.id) for job in taken}) == 60, "each job was handed out once"
        for job in taken:
            assert_same([await stored(backend, job)], [job], "the store agrees on who has it")


async def _take_all(backend: Backend, worker: str, taken: list[Job]) -> None:
    while jobs := (await claim(backend, [QUEUE, OTHER], limit=7, worker=worker)).jobs:
        taken += jobs
        assert {job.state for job in jobs} == {State.ACTIVE}
