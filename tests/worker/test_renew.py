"""Renew: a lease is kept for as long as its job is held, and its loss is noticed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq
from trioq import BackendError, BackendUnavailable
from trioq.lifecycle import Cancel, Reclaim, step


@pytest.fixture
def nap(queue):
    """A task that naps, and notes when it starts and stops."""
    notes = []

    @queue.task
    async def nap(seconds):
        notes.append(("start", trio.current_time()))
        try:
            await trio.sleep(seconds)
        finally:
            notes.append(("stop", trio.current_time()))

    nap.notes = notes
    return nap


async def lose_lease(store, id):
    """Do what a worker does that takes this one for dead."""
    [job] = (await store.inner.get("q", [id])).jobs
    reply = await store.inner.settle([step(job, Reclaim(), job.lease_until)])
    assert reply.verdicts == ["stored"]


async def test_a_job_that_takes_twenty_leases_runs_once(autojump_clock, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(300)
        async with at_work(trioq.Worker(queue, lease=15)), at_work(trioq.Worker(queue, lease=15)):
            await trio.sleep(301)
        record = await job.refresh()
    assert (record.state, record.run, record.crashes) == ("completed", 1, 0)
    assert len(nap.notes) == 2


async def test_leases_are_renewed_each_quarter_in_one_batch(autojump_clock, store, queue, nap, at_work):
    async with queue:
        await queue.enqueue_many(nap.bind(100) for _ in range(7))
        async with at_work(trioq.Worker(queue, lease=8)):
            await trio.sleep(1)
            before = len(store.sizes["renew"])
            await trio.sleep(20)
            assert store.sizes["renew"][before:] == [7] * 10


async def test_a_job_whose_lease_was_lost_is_stopped_and_settles_nothing(
    autojump_clock, store, queue, nap, at_work, told
):
    async with queue:
        job = await nap.options(id="mine").enqueue(100)
        async with at_work(trioq.Worker(queue, concurrency=1, lease=8)) as worker:
            await trio.sleep(1)
            await queue.pause()  # so that it stays where the other left it
            await lose_lease(store, job.id)
            settled = store.count("settle")
            await trio.sleep(3)
            assert nap.notes[-1] == ("stop", 2.0)
            assert store.count("settle") == settled
            assert worker.statistics().lost == 1
            assert (await job.refresh()).state == "waiting"
        [lost] = await told.all("job:lost")
        assert (lost.state, lost.run, lost.worker.partition(":")[0]) == ("waiting", 1, worker.name)
        assert "job:completed" not in await told.names()


async def test_a_lost_lease_is_told_once_even_if_the_handler_returns_all_the_same(
    autojump_clock, store, queue, at_work, told
):
    @queue.task
    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        return "done"

    async with queue:
        job = await stubborn.enqueue()
        async with at_work(trioq.Worker(queue, lease=8)) as worker:
            await trio.sleep(1)
            await queue.pause()
            await lose_lease(store, job.id)
            await trio.sleep(20)
            assert worker.statistics().lost == 1
        assert await told.names("job:lost") == ["job:lost"]
        assert await job.state() == "waiting"


async def test_a_job_that_came_back_while_its_lost_run_still_ends_is_kept(autojump_clock, store, queue, at_work):
    """The books of one run must not be closed by the end of another."""
    runs = []

    @queue.task
    async def stubborn():
        runs.append(trioq.current_job().run)
        with trio.CancelScope(shield=True):
            await trio.sleep(10 if len(runs) == 1 else 100)

    async with queue:
        job = await stubborn.enqueue()
        async with at_work(trioq.Worker(queue, lease=8)):
            await trio.sleep(1)
            await lose_lease(store, job.id)
            await trio.sleep(60)
            record = await job.refresh()
            assert (record.state, record.run, record.crashes) == ("active", 2, 1)
            await trio.sleep(60)
            assert await job.state() == "completed"
    assert runs == [1, 2]


async def test_a_job_that_is_gone_is_stopped_and_lost(autojump_clock, store, queue, nap, at_work, told):
    async with queue:
        job = await nap.enqueue(100)
        async with at_work(trioq.Worker(queue, lease=8)):
            await trio.sleep(1)
            await lose_lease(store, job.id)
            await store.inner.remove("q", [job.id])
            await trio.sleep(3)
            assert nap.notes[-1] == ("stop", 2.0)
        assert [event.state for event in await told.all("job:lost")] == ["gone"]


async def test_a_cancel_from_another_process_stops_the_job_within_100_ms(
    autojump_clock, faulty, store, queue, nap, at_work, told
):
    elsewhere = trioq.Queue("q", faulty(store.inner))
    async with queue, elsewhere:
        job = await nap.enqueue(100)
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(5)
            assert await elsewhere.cancel(job.id, "from afar")
            await trio.sleep(0.1)
            assert nap.notes[-1] == ("stop", pytest.approx(5, abs=0.1))
            await trio.sleep(60)
        # One is what the canceller emits, and one the worker's, which cannot know that they share a process.
        cancelled = await told.all("job:cancelled")
        assert [event.reason for event in cancelled] == ["from afar"] * 2


async def test_a_cancel_in_the_same_process_is_told_once(autojump_clock, queue, nap, at_work, told):
    same_store = trioq.Queue("q", queue.backend)
    async with queue, same_store:
        job = await nap.enqueue(100)
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(5)
            assert await same_store.cancel(job.id, "done with it")
            await wait_all_tasks_blocked()
            assert nap.notes[-1] == ("stop", 5)
            await trio.sleep(60)
        assert [event.reason for event in await told.all("job:cancelled")] == ["done with it"]
        assert await told.all("job:lost") == []


async def test_without_hints_a_cancel_is_noticed_within_a_quarter_of_the_lease(
    autojump_clock, faulty, store, queue, nap, at_work
):
    elsewhere = trioq.Queue("q", faulty(store.inner))
    store.deaf = True
    async with queue, elsewhere:
        job = await nap.enqueue(100)
        async with at_work(trioq.Worker(queue, lease=8)):
            await trio.sleep(5)
            assert await elsewhere.cancel(job.id)
            await trio.sleep(2.1)
            assert nap.notes[-1][0] == "stop"


async def test_a_blocked_event_loop_is_logged_with_the_jobs_that_ran(autojump_clock, queue, at_work, caplog):
    @queue.task
    async def greedy():
        await trio.sleep(1)
        autojump_clock.jump(30)
        await trio.sleep(100)

    async with queue:
        await greedy.options(id="the culprit").enqueue()
        async with at_work(trioq.Worker(queue, lease=15)):
            await trio.sleep(50)
    assert "the event loop was blocked" in caplog.text
    assert "greedy (the culprit)" in caplog.text


async def test_an_outage_is_not_taken_for_a_blocked_event_loop(autojump_clock, store, queue, nap, at_work, caplog):
    async with queue:
        await nap.enqueue(1000)
        async with at_work(trioq.Worker(queue, lease=15)):
            await trio.sleep(5)
            store.down = True
            await trio.sleep(60)
            store.down = False
            await trio.sleep(60)
    assert "the event loop was blocked" not in caplog.text


async def test_a_job_whose_claim_was_never_answered_is_released_soon(autojump_clock, store, queue, nap, at_work, told):
    async with queue:
        job = await nap.options(id="lost in the post").enqueue(1)
        store.fail("claim", after=True)
        async with at_work(trioq.Worker(queue, lease=15)):
            await trio.sleep(0.5)
            record = await job.refresh()
            assert record.state == "active"
            assert nap.notes == []
            await trio.sleep(12.5)
            record = await job.refresh()
            assert (record.state, record.run, record.crashes) == ("completed", 2, 0)
        assert [event.job.id for event in await told.all("job:released")] == [job.id]


async def test_a_lease_that_cannot_be_renewed_is_not_lost_by_that(autojump_clock, store, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(60)
        async with at_work(trioq.Worker(queue, lease=8)):
            await trio.sleep(1)
            store.fail("renew", times=10_000)
            await trio.sleep(60)
            assert await job.state() == "completed"
    assert nap.notes == [("start", 0), ("stop", 60)]


@pytest.mark.parametrize("error", [BackendError("refused"), BackendUnavailable("away")])
@pytest.mark.parametrize("verb", ["renew", "get", "settle"])
async def test_whatever_fails_in_a_renewal_the_worker_lives(
    autojump_clock, faulty, store, queue, nap, at_work, verb, error, told
):
    elsewhere = trioq.Queue("q", faulty(store.inner))
    async with queue, elsewhere:
        lost = await nap.enqueue(1)
        store.fail("claim", after=True)  # makes it ask for, and release, what it does not know of
        async with at_work(trioq.Worker(queue, lease=15)):
            cancelled = await nap.enqueue(100)
            await trio.sleep(1)
            store.fail(verb, times=3, error=error)
            assert await elsewhere.cancel(cancelled.id)
            await trio.sleep(40)
            assert "stop" in [what for what, _ in nap.notes]
            fresh = await nap.enqueue(1)
            await trio.sleep(5)
            assert await fresh.state() == "completed"
            assert await lost.state() == "completed"


async def test_a_worker_tells_the_store_who_it_is(autojump_clock, store, queue, at_work):
    async with at_work(trioq.Worker(queue, name="fred", concurrency=7, lease=8)):
        await wait_all_tasks_blocked()
        [presence] = await store.workers()
        assert (presence.name, presence.slots, presence.lease, presence.leaving) == ("fred", 7, 8, False)
        assert presence.worker.startswith("fred:")
    async with queue:
        await trio.sleep(9)
        assert await store.workers() == []


async def test_a_worker_that_drains_tells_the_store_that_it_leaves(autojump_clock, store, queue, nap, at_work):
    async with queue:
        await nap.enqueue(10)
        async with at_work(trioq.Worker(queue, lease=8), grace=20) as worker:
            await trio.sleep(1)
            worker.stop()
            await trio.sleep(3)
            [presence] = await store.workers()
            assert presence.leaving


async def test_each_start_has_an_identity_of_its_own(autojump_clock, store, queue):
    seen = []

    @queue.task
    async def look():
        seen.append(1)

    worker = trioq.Worker(queue, name="fred")
    async with queue:
        for _ in range(2):
            await look.enqueue()
            await worker.run_until_idle()
        owners = {job.worker async for job in queue.jobs()}
    assert len(owners) == 2
    assert all(owner.startswith("fred:") for owner in owners)


async def test_every_handler_of_a_lost_lease_is_stopped_at_once(autojump_clock, store, queue, at_work, told):
    stopped = []

    @queue.task
    async def nap():
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(trio.current_time())

    async with queue:
        jobs = [await nap.enqueue() for _ in range(20)]
        async with at_work(trioq.Worker(queue, concurrency=20)):
            await trio.sleep(1)
            store.late["get"] = 1  # whatever is asked to tell of it
            now = trio.current_time()
            records = (await store.get("q", [job.id for job in jobs])).jobs
            await store.settle([step(record, Cancel(), record.started_at) for record in records])
            await trio.sleep(3)
            assert len(stopped) == 20
            assert max(stopped) - now < 1.5
            store.late.clear()


async def test_to_tell_of_lost_jobs_keeps_no_other_from_being_renewed(autojump_clock, store, queue, nap, at_work):
    async with queue:
        jobs = await queue.enqueue_many(nap.bind(100) for _ in range(4))
        async with at_work(trioq.Worker(queue, concurrency=4, lease=8)):
            await trio.sleep(1)
            await queue.pause()
            store.late["get"] = 4
            for job in jobs[1:]:
                await lose_lease(store, job.id)
            await trio.sleep(20)
            renewals = [at for at, verb in store.calls if verb == "renew"]
            store.late.clear()
    assert max(later - earlier for earlier, later in pairwise(renewals)) <= 2


async def test_a_lost_run_stops_when_its_own_worker_claims_the_job_again(
    autojump_clock, store, queue, nap, at_work, told
):
    async with queue:
        job = await nap.enqueue(100)
        async with at_work(trioq.Worker(queue, concurrency=2, lease=60)) as worker:
            await trio.sleep(1)
            await lose_lease(store, job.id)
            await (await nap.enqueue(0)).result()  # whose claim takes both
            await trio.sleep(1)
            assert worker.statistics().running == 1
            assert Counter(what for what, _ in nap.notes) == {"start": 3, "stop": 2}
            [lost] = await told.all("job:lost")
            assert (lost.job.id, lost.run) == (job.id, 1)
            await trio.sleep(200)
        record = await job.refresh()
    assert (record.state, record.run, record.crashes) == ("completed", 2, 1)


async def test_no_job_on_its_last_life_begins_beside_a_run_that_its_worker_has_lost(
    autojump_clock, store, queue, at_work
):
    ended, began = [], []

    @queue.task
    async def stubborn():
        if trioq.current_job().run == 1:
            with trio.CancelScope(shield=True):
                await trio.sleep(20)
            ended.append(trio.current_time())

    queue.settings.max_crashes = 1

    @queue.task
    async def last_life():
        began.append(trio.current_time())

    async with queue:
        job = await stubborn.enqueue()
        async with at_work(trioq.Worker(queue, concurrency=2, lease=60)):
            await trio.sleep(1)
            await lose_lease(store, job.id)
            await last_life.enqueue()
            await job.result()
            await trio.sleep(60)
    assert len(ended) == len(began) == 1
    assert ended[0] <= began[0]


async def test_a_cancel_that_is_noticed_in_the_last_moments_is_told_with_its_reason(
    autojump_clock, faulty, store, queue, nap, at_work, told
):
    async def slow_get(*args):
        await trio.sleep(1)
        return await store.inner.get(*args)

    elsewhere = trioq.Queue("q", faulty(store.inner))
    async with queue, elsewhere:
        job = await nap.enqueue(100)
        async with at_work(trioq.Worker(queue), grace=10):
            await trio.sleep(5)
            store.get = slow_get
            assert await elsewhere.cancel(job.id, "from afar")
            await trio.sleep(0.1)
        assert [event.reason for event in await told.all("job:cancelled")] == ["from afar"] * 2


async def test_a_busy_worker_gives_back_what_a_claim_brought_whose_answer_got_lost(
    autojump_clock, store, queue, nap, at_work
):
    async with queue, at_work(trioq.Worker(queue, concurrency=1, lease=8)):
        await trio.sleep(0.5)  # between two renewals
        store.fail("claim", after=True)
        lost = await nap.enqueue(1)
        await trio.sleep(0.01)
        await nap.enqueue(100)
        await trio.sleep(30)  # no slot is free, and so nothing is claimed
        record = await lost.refresh()
        assert (record.state, record.crashes) == ("waiting", 0)
