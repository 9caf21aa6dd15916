"""Sync handlers: threads count against the slots, and a worker that stops one waits for its end.

Threads run in real time, so these tests move the virtual clock themselves.
"""

from __future__ import annotations

import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq


class Gate:
    """A handler that says when it is in, and stays until it is let out."""

    def __init__(self):
        self.inside = threading.Semaphore(0)
        self.open = threading.Event()
        self.entered = 0

        def enter():
            self.entered += 1
            self.inside.release()
            assert self.open.wait(10)
            return "out"

        self.handler = enter

    async def wait_inside(self, count=1):
        for _ in range(count):
            assert await trio.to_thread.run_sync(self.inside.acquire, True, 10)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


async def settle_down():
    """Let the loop and the threads that are about to end come to rest."""
    for _ in range(3):
        await trio.to_thread.run_sync(lambda: None)
        await wait_all_tasks_blocked(0.002)


async def wait_for(condition):
    for _ in range(1000):
        if await condition():
            return
        await settle_down()
    raise AssertionError("it did not come true")


async def test_a_sync_handler_runs_off_the_loop(mock_clock, queue):
    @queue.task
    def where(a, b):
        return [threading.current_thread() is threading.main_thread(), a + b]

    async with queue:
        job = await where.enqueue(1, b=2)
        await trioq.Worker(queue).run_until_idle()
        assert await job.result() == [False, 3]


async def test_a_sync_handler_knows_its_job_and_reports_progress(mock_clock, queue, told):
    @queue.task
    def look():
        trioq.current_job().progress(0.5, note="from a thread")
        return trioq.current_job().id

    async with queue:
        job = await look.options(id="me").enqueue()
        await trioq.Worker(queue).run_until_idle()
        assert await job.result() == "me"
        assert (await job.refresh()).progress == {"fraction": 0.5, "note": "from a thread"}
        assert len(await told.all("job:progress")) == 1


async def test_more_than_forty_threads_at_once(mock_clock, queue, gate, at_work):
    queue.task(name="enter")(gate.handler)
    async with queue:
        await queue.enqueue_many(queue.tasks["enter"].bind() for _ in range(60))
        async with at_work(trioq.Worker(queue, concurrency=60), grace=10):
            await gate.wait_inside(60)
            gate.open.set()
        assert (await queue.counts())["completed"] == 60


async def test_threads_are_counted_against_the_slots(mock_clock, queue, gate, at_work):
    queue.task(name="enter")(gate.handler)
    async with queue:
        await queue.enqueue_many(queue.tasks["enter"].bind() for _ in range(5))
        async with at_work(trioq.Worker(queue, concurrency=2), grace=10):
            await gate.wait_inside(2)
            await settle_down()
            assert gate.entered == 2
            assert (await queue.counts())["waiting"] == 3
            gate.open.set()
            await gate.wait_inside(3)


async def test_after_a_timeout_the_job_keeps_its_slot_and_lease_until_the_thread_ends(mock_clock, queue, gate, at_work):
    task = queue.task(name="enter", timeout=1, backoff=trioq.Fixed(0))(gate.handler)
    async with queue:
        job = await task.enqueue()
        async with at_work(trioq.Worker(queue, concurrency=1, lease=4), grace=10):
            await gate.wait_inside()
            for _ in range(20):
                mock_clock.jump(1)
                await settle_down()
            record = await job.refresh()
            assert (record.state, record.run, gate.entered) == ("active", 1, 1)
            gate.open.set()

            async def ended():
                return (await job.refresh()).state == "completed"

            await wait_for(ended)  # what it returned in the end counts
            assert ((await job.refresh()).run, gate.entered) == (1, 1)


async def test_a_thread_that_raises_after_its_timeout_has_timed_out(mock_clock, queue, at_work):
    inside, leave = threading.Event(), threading.Event()

    @queue.task(timeout=1, max_retries=0)
    def fail():
        inside.set()
        leave.wait(10)
        raise KeyError("too late")

    async with queue:
        job = await fail.enqueue()
        async with at_work(trioq.Worker(queue), grace=10):
            await trio.to_thread.run_sync(inside.wait, 10)
            mock_clock.jump(2)
            await settle_down()
            leave.set()
        with pytest.raises(trioq.JobFailed, match="TimedOut"):
            await job.result()


async def test_check_cancelled_ends_a_thread_early(mock_clock, queue, at_work):
    inside = threading.Event()
    go_on = threading.Event()

    @queue.task(timeout=1, max_retries=0)
    def poll():
        inside.set()
        while not go_on.wait(0.001):
            trio.from_thread.check_cancelled()

    async with queue:
        job = await poll.enqueue()
        async with at_work(trioq.Worker(queue), grace=10):
            await trio.to_thread.run_sync(inside.wait, 10)
            mock_clock.jump(2)
        with pytest.raises(trioq.JobFailed, match="TimedOut"):
            await job.result()
    go_on.set()


async def test_a_cancelled_thread_is_not_run_again_beside_itself(mock_clock, queue, gate, at_work, told):
    task = queue.task(name="enter")(gate.handler)
    async with queue:
        job = await task.enqueue()
        async with at_work(trioq.Worker(queue, concurrency=1), grace=10) as worker:
            await gate.wait_inside()
            assert await job.cancel()
            await settle_down()
            assert worker.statistics().running == 1
            assert await queue.requeue(job.id)
            await settle_down()
            assert gate.entered == 1
            gate.open.set()
            await gate.wait_inside()
        assert await job.result() == "out"


async def test_at_shutdown_a_thread_has_the_grace_and_five_seconds_then_it_is_abandoned(
    mock_clock, queue, gate, caplog
):
    task = queue.task(name="enter")(gate.handler)
    ended = trio.Event()
    worker = trioq.Worker(queue)

    async def work():
        await worker.start()
        ended.set()

    async with queue, trio.open_nursery() as nursery:
        job = await task.options(id="stuck").enqueue()
        nursery.start_soon(work)
        await gate.wait_inside()
        worker.stop(grace=3)
        for _ in range(3):  # the grace
            mock_clock.jump(1)
            await settle_down()
        mock_clock.jump(4.9)
        await settle_down()
        assert not ended.is_set()
        mock_clock.jump(0.2)
        await ended.wait()
        record = await job.refresh()
        # It is left to its lease: no worker may start it beside the thread.
        assert (record.state, record.run) == ("active", 1)
        assert "stuck" in caplog.text


async def test_at_shutdown_a_thread_that_has_timed_out_long_ago_has_no_longer(mock_clock, queue, gate):
    task = queue.task(name="enter", timeout=1)(gate.handler)
    ended = trio.Event()
    worker = trioq.Worker(queue)

    async def work():
        await worker.start()
        ended.set()

    async def stopped():
        return ended.is_set()

    async with queue, trio.open_nursery() as nursery:
        await task.enqueue()
        nursery.start_soon(work)
        await gate.wait_inside()
        mock_clock.jump(2)
        await settle_down()  # from here on the worker waits for the thread
        worker.stop(grace=3)
        mock_clock.jump(7.9)
        await settle_down()
        assert not ended.is_set()
        mock_clock.jump(0.2)
        try:
            await wait_for(stopped)
        finally:
            gate.open.set()


async def test_a_thread_that_ends_within_the_five_seconds_is_settled(mock_clock, queue, gate, at_work):
    task = queue.task(name="enter")(gate.handler)
    async with queue:
        job = await task.enqueue()
        async with at_work(trioq.Worker(queue), grace=1):
            await gate.wait_inside()

            async def let_out():
                await settle_down()
                mock_clock.jump(2)
                await settle_down()
                gate.open.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(let_out)
        assert await job.result() == "out"


async def test_a_thread_can_call_back_into_trio(mock_clock, queue):
    @queue.task
    def enqueue_another():
        trio.from_thread.run(other.enqueue)

    @queue.task
    async def other():
        return "ran"

    async with queue:
        await enqueue_another.enqueue()
        await trioq.Worker(queue).run_until_idle()
        assert (await queue.counts())["completed"] == 2
