"""Outages: the store fails in any stage, before or after it did what it was asked, and the worker lives."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq
from trioq import BackendError, BackendUnavailable


@pytest.fixture
def nap(queue):
    ran = []

    @queue.task
    async def nap(seconds):
        ran.append(trio.current_time())
        await trio.sleep(seconds)
        return "rested"

    nap.ran = ran
    return nap


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("verb", ["claim", "settle", "renew", "overdue", "prune", "get"])
async def test_a_verb_that_fails_now_and_then_harms_no_job(autojump_clock, store, queue, nap, at_work, verb, after):
    async with queue:
        jobs = await queue.enqueue_many(nap.bind(number) for number in range(1, 20))
        for _ in range(3):
            store.fail(verb, after=after)
        async with at_work(trioq.Worker(queue, concurrency=4, lease=15)):
            await trio.sleep(5)
            store.fail(verb, after=after, times=2)
            await trio.sleep(300)
        store._plans.clear()
        records = [await job.refresh() for job in jobs]
    assert {job.state for job in records} == {"completed"}
    assert {(job.failures, job.crashes) for job in records} == {(0, 0)}
    assert len(nap.ran) == len(jobs)


async def test_running_jobs_go_on_and_their_outcomes_wait(autojump_clock, store, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(10)
        async with at_work(trioq.Worker(queue, lease=15)) as worker:
            await trio.sleep(5)
            store.down = True
            await trio.sleep(100)
            assert worker.statistics().unsettled == 1
            store.down = False
            await trio.sleep(3)
            assert worker.statistics().unsettled == 0
            record = await job.refresh()
            assert (record.state, record.run) == ("completed", 1)
            assert await (await nap.enqueue(1)).result() == "rested"


async def test_an_outage_is_told_once_when_it_begins_and_once_when_it_ends(
    autojump_clock, store, queue, nap, at_work, told
):
    async with queue:
        await nap.enqueue(10)
        async with at_work(trioq.Worker(queue)) as worker:
            for _ in range(2):
                await trio.sleep(5)
                store.down = True
                await trio.sleep(60)
                store.down = False
                await trio.sleep(5)
        assert await told.names("backend:") == ["backend:lost", "backend:recovered"] * 2
        lost, recovered = (await told.all("backend:"))[:2]
        assert "away" in lost.error
        assert 50 < recovered.outage < 65
        assert recovered.queues == ("q",)
        assert lost.worker.startswith(worker.name)


async def test_the_pauses_between_tries_grow_and_are_capped(autojump_clock, store, queue, at_work):
    async with at_work(trioq.Worker(queue)):
        await trio.sleep(1)
        begun = trio.current_time()
        store.down = True
        await trio.sleep(120)
        tries = [at - begun for at, verb in store.calls if verb == "claim" and at > begun]
        store.down = False
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert max(pauses) <= 2
    assert min(pauses[8:]) >= 1
    assert pauses[0] <= 0.05
    assert len(set(pauses)) == len(pauses)  # jittered


async def test_an_idle_worker_does_not_storm_a_store_that_is_away(autojump_clock, store, queue, at_work):
    async with at_work(trioq.Worker(queue)):
        await trio.sleep(1)
        store.down = True
        await trio.sleep(10)
        before = len(store.calls)
        await trio.sleep(100)
        assert len(store.calls) - before <= 300
        store.down = False


async def test_work_goes_on_soon_after_the_store_is_back(autojump_clock, store, queue, nap, at_work):
    async with queue, at_work(trioq.Worker(queue)):
        await trio.sleep(1)
        store.down = True
        await trio.sleep(100)
        store.down = False
        job = await nap.enqueue(0)
        with trio.fail_after(2):
            await job.result()


async def test_a_watch_that_breaks_is_opened_again(autojump_clock, store, queue, nap, at_work):
    async with queue, at_work(trioq.Worker(queue)):
        await trio.sleep(1)
        store.fail("hint")
        store.fail("watch", times=2, error=BackendError("nonsense"))
        await queue.pause()  # sends a hint
        await queue.resume()
        await trio.sleep(5)
        assert store.count("watch") >= 3
        job = await nap.enqueue(0)
        await wait_all_tasks_blocked()
        assert (await job.refresh()).state == "completed"


async def test_a_watch_whose_hints_end_is_opened_again_without_a_storm(autojump_clock, store, queue, nap, at_work):
    async with queue:
        store.fail("hint", times=50, error=trio.EndOfChannel())
        async with at_work(trioq.Worker(queue)):
            for _ in range(10):
                await nap.enqueue(0)
                await trio.sleep(1)
            assert store.count("watch") <= 20
            await trio.sleep(3)
        assert (await queue.counts())["completed"] == 10


async def test_a_store_that_cannot_watch_at_the_start_is_polled(autojump_clock, store, queue, nap, at_work):
    store.fail("watch", times=100)
    async with queue, at_work(trioq.Worker(queue)):
        await trio.sleep(10)
        job = await nap.enqueue(0)
        await trio.sleep(2.6)
        assert (await job.refresh()).state == "completed"


@pytest.mark.parametrize("error", [BackendUnavailable("no route"), BackendError("no trioq database")])
async def test_start_raises_what_opening_the_store_raised(autojump_clock, store, queue, error):
    store.fail("open", error=error)
    with pytest.raises(type(error), match=str(error)):
        await trioq.Worker(queue).start()
    assert not store.opened


async def test_it_can_be_started_again_after_an_opening_that_failed(autojump_clock, store, queue, nap, at_work):
    worker = trioq.Worker(queue)
    store.fail("open")
    with pytest.raises(BackendUnavailable):
        await worker.start()
    async with at_work(worker):
        job = await nap.enqueue(0)
        assert await job.result() == "rested"


async def test_a_claim_that_is_refused_is_asked_again(autojump_clock, store, queue, nap, at_work):
    async with queue:
        store.fail("claim", times=5, error=BackendError("corrupt"))
        job = await nap.enqueue(1)
        async with at_work(trioq.Worker(queue)):
            with trio.fail_after(10):
                await job.result()


async def test_claims_of_a_lost_reply_are_not_run_twice_at_once(autojump_clock, store, queue, nap, at_work):
    async with queue:
        jobs = await queue.enqueue_many(nap.bind(30) for _ in range(3))
        store.fail("claim", after=True, times=2)
        async with at_work(trioq.Worker(queue, concurrency=3, lease=15)):
            await trio.sleep(100)
        records = [await job.refresh() for job in jobs]
    assert {job.state for job in records} == {"completed"}
    assert len(nap.ran) == 3


async def test_an_enqueue_whose_reply_was_lost_can_be_repeated_with_its_id(autojump_clock, store, queue, nap):
    async with queue:
        store.fail("insert", after=True)
        with pytest.raises(BackendUnavailable):
            await nap.options(id="once").enqueue(0)
        again = await nap.options(id="once").enqueue(0)
        assert not again.created
        assert (await queue.counts())["waiting"] == 1


async def test_a_handlers_own_outage_is_a_failure_of_its_job_alone(autojump_clock, queue, at_work, told):
    @queue.task(max_retries=0)
    async def fail():
        raise BackendUnavailable("the handler's own store")

    async with queue:
        job = await fail.enqueue()
        await trioq.Worker(queue).run_until_idle()
        assert await job.state() == "failed"
        assert await told.names("backend:") == []


async def test_the_store_may_be_away_while_the_worker_drains(autojump_clock, store, queue, nap):
    async with queue:
        job = await nap.enqueue(3)
        worker = trioq.Worker(queue)
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.start)
            await trio.sleep(1)
            store.down = True
            worker.stop(grace=10)
            await trio.sleep(5)
            store.down = False
        assert await job.state() == "completed"
        assert trio.current_time() < 9
