"""Shutdown: the three ways to stop a worker, what each does to the jobs, and that nothing is left behind."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq


@pytest.fixture
def nap(queue):
    @queue.task
    async def nap(seconds):
        await trio.sleep(seconds)
        return "rested"

    return nap


@pytest.fixture(autouse=True)
async def no_task_is_left_behind():
    before = trio.lowlevel.current_statistics().tasks_living
    yield
    await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living <= before


async def test_stop_lets_running_jobs_finish_within_the_grace(autojump_clock, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(5)
        async with at_work(trioq.Worker(queue), grace=10):
            await trio.sleep(1)
        assert trio.current_time() == 5
        assert await job.result() == "rested"


async def test_what_does_not_finish_within_the_grace_is_released_and_no_attempt_spent(
    autojump_clock, queue, nap, at_work, told
):
    async with queue:
        job = await nap.enqueue(500)
        async with at_work(trioq.Worker(queue), grace=10):
            await trio.sleep(1)
        assert trio.current_time() == 11
        record = await job.refresh()
        assert (record.state, record.failures, record.crashes, record.attempt) == ("waiting", 0, 0, 1)
        assert (await told.names("job:"))[-1] == "job:released"


async def test_the_log_tells_how_many_jobs_went_back(autojump_clock, queue, nap, at_work, caplog):
    caplog.set_level("INFO", "trioq.worker")
    async with queue:
        await queue.enqueue_many(nap.bind(500) for _ in range(2))
        async with at_work(trioq.Worker(queue), grace=1):
            await trio.sleep(1)
    [stopped] = [record.message for record in caplog.records if "has stopped" in record.message]
    assert stopped.endswith("has stopped; 2 jobs went back")


async def test_nothing_is_claimed_after_stop(autojump_clock, queue, nap, at_work):
    async with queue:
        await nap.enqueue(5)
        async with at_work(trioq.Worker(queue, concurrency=1), grace=60):
            await trio.sleep(1)
            others = await queue.enqueue_many(nap.bind(1) for _ in range(3))
        assert [await job.state() for job in others] == ["waiting"] * 3


async def test_jobs_that_were_claimed_and_not_started_are_released_at_once(autojump_clock, store, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(5)
        store.late["claim"] = 2
        async with at_work(trioq.Worker(queue), grace=60):
            await trio.sleep(1)  # its claim is on the way
        record = await job.refresh()
        assert (record.state, record.run, record.failures) == ("waiting", 1, 0)
        assert trio.current_time() == 2


async def test_stop_without_a_grace_takes_the_workers(autojump_clock, queue, nap):
    async with queue:
        await nap.enqueue(500)
        worker = trioq.Worker(queue, grace=7)
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.start)
            await trio.sleep(1)
            worker.stop()
        assert trio.current_time() == 8


@pytest.mark.parametrize(("second", "end"), [(2, 4), (100, 11), (0, 2)])
async def test_a_second_stop_can_only_shorten_the_grace(autojump_clock, queue, nap, second, end):
    async with queue:
        await nap.enqueue(500)
        worker = trioq.Worker(queue)
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.start)
            await trio.sleep(1)
            worker.stop(grace=10)
            await trio.sleep(1)
            worker.stop(grace=second)
        assert trio.current_time() == end


async def test_a_grace_of_none_of_the_kind_is_refused(autojump_clock, queue, at_work):
    async with at_work(trioq.Worker(queue)) as worker:
        for grace in (-1, float("nan")):
            with pytest.raises(ValueError, match="grace"):
                worker.stop(grace=grace)


async def test_an_endless_grace_waits_for_the_handlers(autojump_clock, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(5000)
        async with at_work(trioq.Worker(queue), grace=float("inf")):
            await trio.sleep(1)
        assert await job.state() == "completed"


async def test_cancelling_the_caller_releases_what_runs_and_goes_on(autojump_clock, queue, nap):
    async with queue:
        jobs = await queue.enqueue_many(nap.bind(500) for _ in range(3))
        with trio.move_on_after(2) as scope:
            await trioq.Worker(queue).start()
            raise AssertionError("start returned although it was cancelled")
        assert scope.cancelled_caught
        assert trio.current_time() == 2
        records = [await job.refresh() for job in jobs]
        assert {(job.state, job.failures, job.crashes) for job in records} == {("waiting", 0, 0)}


async def test_cancelling_the_workers_own_scope_ends_start_the_same_way(autojump_clock, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(500)
        worker = trioq.Worker(queue)
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.start)
            await trio.sleep(1)
            worker.cancel_scope.cancel()
        assert await job.state() == "waiting"


async def test_cancelled_at_any_moment_it_leaves_nothing_claimed(autojump_clock, store, queue, nap):
    store.late = {"claim": 0.3, "settle": 0.3, "renew": 0.3}
    async with queue:
        for moment in range(40):
            jobs = await queue.enqueue_many(nap.bind(0.5) for _ in range(3))
            with trio.move_on_after(moment / 20 + 0.01):
                await trioq.Worker(queue, concurrency=2, lease=1).start()
            for job in jobs:
                record = await job.refresh()
                assert record.state in ("waiting", "completed"), moment
                assert (record.failures, record.crashes) == (0, 0)
                await job.cancel()


async def test_a_handler_that_shields_itself_is_waited_for_and_renewed(autojump_clock, queue, at_work):
    @queue.task
    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(300)
        return "done all the same"

    async with queue:
        job = await stubborn.enqueue()
        async with at_work(trioq.Worker(trioq.Queue("other", queue.backend), lease=4)):  # it sweeps
            async with at_work(trioq.Worker(queue, lease=4)):
                await trio.sleep(1)
            assert trio.current_time() == 300
        record = await job.refresh()
        assert (record.state, record.run) == ("completed", 1)


async def test_start_is_ready_when_nursery_start_returns(autojump_clock, store, queue, nap, told):
    async with queue, trio.open_nursery() as nursery:
        worker = trioq.Worker(queue)
        await nursery.start(worker.start)
        assert "worker:started" in await told.names()
        job = await nap.enqueue(0)
        await wait_all_tasks_blocked()
        assert await job.state() == "completed"
        worker.stop()


async def test_when_the_store_is_down_at_the_end_it_gets_five_seconds(autojump_clock, store, queue, nap, caplog):
    async with queue:
        job = await nap.options(id="unsettled").enqueue(1)
        worker = trioq.Worker(queue)
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.start)
            await trio.sleep(0.5)
            store.down = True
            worker.stop(grace=10)
        assert trio.current_time() == 6
        assert "unsettled" in caplog.text
        store.down = False
        assert await job.state() == "active"  # left to its lease
        assert worker.statistics().unsettled == 0


async def test_a_worker_can_be_started_again_after_its_end(autojump_clock, queue, nap, at_work):
    worker = trioq.Worker(queue)
    for _ in range(3):
        async with at_work(worker, grace=1):
            job = await nap.enqueue(0.5)
            assert await job.result() == "rested"
        assert not worker.statistics().draining


async def test_starting_twice_at_once_is_a_clear_error(autojump_clock, queue, nap, at_work):
    async with at_work(trioq.Worker(queue, name="fred")) as worker:
        for start in (worker.start, worker.run_until_idle):
            with pytest.raises(trioq.WorkerRunning, match="fred"):
                await start()
        assert await (await nap.enqueue(0)).result() == "rested"


async def test_a_handler_can_stop_its_worker(autojump_clock, queue):
    @queue.task
    async def last():
        worker.stop(grace=5)
        await trio.sleep(1)
        return "said goodbye"

    worker = trioq.Worker(queue)
    async with queue:
        job = await last.enqueue()
        await worker.start()
        assert await job.result() == "said goodbye"
        assert trio.current_time() == 1


async def test_stop_before_start_and_after_the_end_does_nothing(autojump_clock, queue, nap, at_work):
    worker = trioq.Worker(queue)
    worker.stop()
    async with at_work(worker):
        assert await (await nap.enqueue(1)).result() == "rested"
    worker.stop()


async def test_stop_while_it_is_being_opened_counts(autojump_clock, store, queue, nap):
    @asynccontextmanager
    async def lifespan(worker):
        await trio.sleep(5)
        yield

    worker = trioq.Worker(queue, lifespan=lifespan)
    async with queue:
        job = await nap.enqueue(0)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.start)
                await trio.sleep(1)
                worker.stop()
        assert await job.state() == "waiting"


async def test_the_lifespan_is_entered_before_the_first_claim_and_left_after_the_last_settle(
    autojump_clock, store, queue
):
    order = []

    @asynccontextmanager
    async def lifespan(worker):
        assert worker.name == "fred"
        order.append(("enter", store.count("claim"), store.count("settle")))
        yield "a pool of connections"
        order.append(("leave", (await store.inner.counts("q"))["completed"]))

    @queue.task
    async def look():
        order.append(trioq.current_job().resources)

    async with queue:
        await look.enqueue()
        await trioq.Worker(queue, name="fred", lifespan=lifespan).run_until_idle()
    assert order == [("enter", 0, 0), "a pool of connections", ("leave", 1)]


async def test_the_lifespan_is_left_when_the_worker_is_cancelled(autojump_clock, queue, nap):
    left = []

    @asynccontextmanager
    async def lifespan(worker):
        try:
            yield
        finally:
            left.append(1)

    with trio.move_on_after(1):
        await trioq.Worker(queue, lifespan=lifespan).start()
    assert left == [1]


async def test_when_the_lifespan_fails_to_open_start_raises_and_nothing_was_claimed(autojump_clock, store, queue, nap):
    @asynccontextmanager
    async def lifespan(worker):
        raise ConnectionError("no database")
        yield

    async with queue:
        job = await nap.enqueue(0)
        with pytest.raises(ConnectionError, match="no database"):
            await trioq.Worker(queue, lifespan=lifespan).start()
        assert store.count("claim") == 0
        assert await job.state() == "waiting"


async def test_a_drain_tells_of_itself(autojump_clock, queue, nap, at_work, told):
    async with queue:
        await nap.enqueue(5)
        async with at_work(trioq.Worker(queue, name="fred"), grace=3):
            await trio.sleep(1)
        names = await told.names()
        assert [name for name in names if name.startswith("worker:")] == [
            "worker:started",
            "worker:draining",
            "worker:stopped",
        ]
        [draining] = await told.all("worker:draining")
        assert (draining.grace, draining.queues) == (3, ("q",))


async def test_a_store_that_keeps_a_claim_waiting_does_not_hold_up_the_end_for_ever(autojump_clock, store, queue, nap):
    """From the moment it has left a claim is answered or fails within its patience, and so the stop waits for it."""
    async with queue:
        job = await nap.enqueue(1)
        store.late["claim"] = 4
        with trio.move_on_after(1):
            await trioq.Worker(queue).start()
        assert trio.current_time() == 4
        assert await job.state() == "waiting"


async def test_a_worker_that_is_stopped_while_it_starts_tells_so_in_order(autojump_clock, queue, told, nursery):
    for steps in range(30):
        worker = trioq.Worker(queue)
        nursery.start_soon(worker.start)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        worker.stop(0)
        await trio.sleep(1)
        worker.stop(0)
        await trio.sleep(10)
    assert await told.names("worker:") == ["worker:started", "worker:draining", "worker:stopped"] * 30


async def test_a_job_whose_claim_is_answered_after_half_a_lease_is_released_once(
    autojump_clock, store, queue, at_work, told
):
    @queue.task
    async def note() -> None: ...

    async with queue, at_work(trioq.Worker(queue, lease=6), grace=5):
        await trio.sleep(1)
        store.late = {"claim": 4, "get": 0.75}  # to this process it looks as if it stood still
        await note.enqueue()
        await trio.sleep(3.5)
    assert await told.names("job:") == ["job:enqueued", "job:released"]


async def test_a_job_that_is_released_while_its_record_is_read_is_released_once(
    autojump_clock, store, queue, at_work, told
):
    @queue.task
    async def note(): ...

    async with queue, at_work(trioq.Worker(queue, lease=6), grace=5):
        await trio.sleep(1)
        # At 4.5 it renews; at 4.6 the claim is answered, and the job given back, which is stored at 5.1; at 4.7 it
        # learns that the store holds a job for it, and reads that before the release; the answer comes after that.
        store.late, store.slow = {"claim": 3.6, "renew": 0.2, "get": 0.75}, {"settle": 0.5}
        await note.enqueue()
        await trio.sleep(3.2)
    assert await told.names("job:") == ["job:enqueued", "job:released"]


async def test_a_job_whose_claim_is_answered_late_is_released_by_a_stop(autojump_clock, store, queue, at_work):
    @queue.task
    async def note(): ...

    async with queue:
        async with at_work(trioq.Worker(queue, lease=6), grace=5):
            await trio.sleep(1)
            store.late = {"claim": 4}
            job = await note.enqueue()
            await trio.sleep(0.5)
        record = await job.refresh()
        assert (record.state, record.crashes) == ("waiting", 0)
