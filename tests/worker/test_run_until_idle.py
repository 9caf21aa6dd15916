"""run_until_idle: a worker for tests and scripts, that ends when there is nothing left to do."""

from __future__ import annotations

import pytest
import trio

import trioq


@pytest.fixture
def work(queue):
    """A task that enqueues *more* of itself, one after the other."""

    @queue.task
    async def work(more=0, seconds=0.0):
        await trio.sleep(seconds)
        if more:
            await work.enqueue(more - 1, seconds)
        return more

    return work


async def test_it_returns_at_once_when_there_is_nothing(autojump_clock, queue):
    await trioq.Worker(queue).run_until_idle()
    assert trio.current_time() == 0


async def test_it_runs_everything_that_is_ready_also_what_handlers_enqueue(autojump_clock, queue, work):
    async with queue:
        await work.enqueue(25, 0.1)
        await trioq.Worker(queue).run_until_idle()
        assert (await queue.counts())["completed"] == 26
    assert trio.current_time() == pytest.approx(2.6)


async def test_a_job_enqueued_by_the_last_handler_is_seen_although_the_claim_was_answered_before(
    autojump_clock, store, queue, work
):
    async with queue:
        await work.enqueue(10, 0.3)
        store.late["claim"] = 1
        await trioq.Worker(queue, concurrency=2).run_until_idle()
        counts = await queue.counts()
    assert (counts["completed"], counts["waiting"]) == (11, 0)


async def test_it_works_without_hints(autojump_clock, store, queue, work):
    store.deaf = True
    async with queue:
        await work.enqueue(5, 1)
        await trioq.Worker(queue).run_until_idle()
        assert (await queue.counts())["completed"] == 6


async def test_it_does_not_wait_for_delayed_jobs_unless_asked(autojump_clock, queue, work):
    async with queue:
        job = await work.options(delay=300).enqueue()
        await trioq.Worker(queue).run_until_idle()
        assert trio.current_time() == 0
        assert await job.state() == "delayed"
        await trioq.Worker(queue).run_until_idle(delayed=True)
        assert trio.current_time() == pytest.approx(300, abs=1e-3)
        assert await job.state() == "completed"


async def test_waiting_for_delayed_jobs_it_asks_the_store_no_more_than_any_idle_worker(
    autojump_clock, store, queue, work
):
    async with queue:
        await work.options(delay=600).enqueue()
        await trioq.Worker(queue).run_until_idle(delayed=True)
    assert len(store.calls) < 650


async def test_retries_are_delayed_jobs(autojump_clock, queue):
    ran = []

    @queue.task(max_retries=2, backoff=trioq.Fixed(60))
    async def fail():
        ran.append(trio.current_time())
        raise ValueError

    async with queue:
        job = await fail.enqueue()
        await trioq.Worker(queue).run_until_idle(delayed=True)
        assert await job.state() == "failed"
    assert ran == [pytest.approx(minute * 60, abs=1e-3) for minute in range(3)]


async def test_it_leaves_paused_queues_alone(autojump_clock, queue, work):
    async with queue:
        await queue.pause()
        job = await work.enqueue()
        await trioq.Worker(queue).run_until_idle(delayed=True)
        assert await job.state() == "waiting"


async def test_it_does_not_wait_for_jobs_that_others_run(autojump_clock, queue, work, at_work):
    async with queue:
        await work.enqueue(0, 100)
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(1)
            await trioq.Worker(queue).run_until_idle()
            assert trio.current_time() == 1


async def test_it_keeps_a_job_for_as_long_as_that_takes(autojump_clock, nursery, queue, work, at_work):
    """It rests while it holds nothing, and renews nothing: the first job ends that."""
    async with queue:
        job = await work.options(delay=5).enqueue(0, 40)
        nursery.start_soon(trioq.Worker(queue).run_until_idle, True)
        await trio.sleep(6)
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(45)
        assert ((await job.refresh()).run, await job.state()) == (1, "completed")


async def test_what_it_ran_is_settled_when_it_returns(autojump_clock, store, queue, work):
    async with queue:
        store.late["settle"] = 3
        job = await work.enqueue()
        await trioq.Worker(queue).run_until_idle()
        assert (await store.inner.get("q", [job.id])).jobs[0].state == "completed"


async def test_it_returns_from_an_outage(autojump_clock, store, queue, work):
    async with queue:
        await work.enqueue(3, 1)
        store.fail("claim", times=5)
        store.fail("settle", times=5)
        await trioq.Worker(queue).run_until_idle()
        assert (await queue.counts())["completed"] == 4


async def test_stop_ends_it_early(autojump_clock, queue, work):
    worker = trioq.Worker(queue)
    async with queue, trio.open_nursery() as nursery:
        await work.enqueue(1000, 1)
        nursery.start_soon(worker.run_until_idle)
        await trio.sleep(5.5)
        worker.stop(0)
    assert trio.current_time() == 5.5


async def test_the_last_settle_ends_it_at_once_whenever_it_comes(autojump_clock, store, queue):
    @queue.task
    async def work():
        pass

    async with queue:
        for ticks in range(12):  # the settle's answer meets every moment between the claim and the wait
            store.late["settle"] = ticks / 1000
            store.late["claim"] = 0.005
            await work.enqueue()
            start = trio.current_time()
            await trioq.Worker(queue).run_until_idle()
            assert trio.current_time() - start < 1


async def test_a_job_whose_claim_is_answered_late_is_run_before_the_end(autojump_clock, store, queue):
    @queue.task
    async def quick(): ...

    async with queue:
        job = await quick.enqueue()
        store.late = {"claim": 4}
        await trioq.Worker(queue, lease=6).run_until_idle()
        assert (await job.refresh()).state == "completed"
