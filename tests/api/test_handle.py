"""Handles: a job as the producer that enqueued it sees it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq
from trioq import BackendError, BackendUnavailable


class Flaky(trioq.InMemoryBackend):
    """Its reads take time, and raise these errors first; it counts them."""

    def __init__(self):
        super().__init__()
        self.errors = []
        self.seconds = 0.0
        self.reads = 0
        self.deaf = False

    async def get(self, queue, ids):
        self.reads += 1
        if self.errors:
            raise self.errors.pop(0)
        reply = await super().get(queue, ids)
        await trio.sleep(self.seconds)
        return reply

    def watch(self, queues):
        return super().watch(["nothing ever happens here"] if self.deaf else queues)


@pytest.fixture
def store():
    return Flaky()


@pytest.fixture
def queue(store):
    return trioq.Queue("q", store)


@pytest.fixture
def nap(queue):
    @queue.task(max_retries=0)
    async def nap(seconds=0.0, fail=False):
        await trio.sleep(seconds)
        if fail:
            raise ValueError("it went wrong")
        return seconds

    return nap


async def test_result_waits_for_the_end_and_returns_what_the_handler_did(autojump_clock, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(5.5)
        async with at_work(trioq.Worker(queue)):
            assert await job.result() == 5.5
            assert trio.current_time() == 5.5
            assert await job.result() == 5.5


async def test_result_of_a_failed_job_raises_with_its_last_error(autojump_clock, queue, nap, at_work):
    async with queue:
        job = await nap.options(id="bad").enqueue(0, fail=True)
        async with at_work(trioq.Worker(queue)):
            with pytest.raises(trioq.JobFailed, match=r"ValueError: it went wrong$") as caught:
                await job.result()
        assert (caught.value.queue, caught.value.id) == ("q", "bad")
        assert "Traceback" in caught.value.error


async def test_result_of_a_cancelled_job_raises_with_the_reason(autojump_clock, queue, nap):
    async with queue:
        job = await nap.enqueue()
        await job.cancel("not now")
        with pytest.raises(trioq.JobCancelled, match="not now"):
            await job.result()


async def test_result_of_an_expired_job_raises(autojump_clock, queue, nap, at_work):
    async with queue:
        job = await nap.options(ttl=1).enqueue()
        await trio.sleep(2)
        async with at_work(trioq.Worker(queue)):
            with pytest.raises(trioq.JobExpired):
                await job.result()


async def test_a_job_that_is_not_there_any_more_is_not_found(autojump_clock, queue, nap):
    async with queue:
        job = await nap.enqueue()
        await queue.remove(job.id)
        for call in (job.result, job.state, job.refresh):
            with pytest.raises(trioq.JobNotFound, match=job.id):
                await call()
        assert not await job.cancel()


async def test_a_job_that_is_removed_while_its_result_is_awaited_is_not_found(autojump_clock, queue, nap):
    async with queue:
        job = await nap.enqueue()

        async def wait():
            with pytest.raises(trioq.JobNotFound):
                await job.result()

        with trio.fail_after(1.7):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.sleep(0.5)
                await queue.remove(job.id)


async def test_waiting_can_be_cancelled_and_asked_again(autojump_clock, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(5)
        async with at_work(trioq.Worker(queue)):
            for _ in range(3):
                with pytest.raises(trio.TooSlowError):
                    with trio.fail_after(1):
                        await job.result()
            assert await job.result() == 5
            assert trio.current_time() == 5


async def test_many_who_wait_share_the_reads(autojump_clock, store, queue, nap, at_work):
    results = []

    async def wait(job):
        results.append(await job.result())

    async with queue:
        jobs = await queue.enqueue_many(nap.bind(10) for _ in range(50))
        async with at_work(trioq.Worker(queue, concurrency=50)):
            async with trio.open_nursery() as nursery:
                for job in jobs * 2:
                    nursery.start_soon(wait, job)
                await wait_all_tasks_blocked()
                store.reads = 0
            assert trio.current_time() == 10
    assert results == [10] * 100
    assert store.reads <= 20


async def test_results_are_read_once_they_are_there_and_in_portions_of_few_bytes(
    autojump_clock, store, queue, at_work, monkeypatch
):
    """Arguments and results of jobs that still run are not read, however many wait for them."""
    asked, read = [], []
    get, have_ended = store.get, store.have_ended

    async def note_get(name, ids):
        reply = await get(name, ids)
        read.append([job.state for job in reply.jobs])
        return reply

    async def note_asked(name, ids):
        asked.append(len(ids))
        return await have_ended(name, ids)

    monkeypatch.setattr(store, "get", note_get)
    monkeypatch.setattr(store, "have_ended", note_asked)

    @queue.task
    async def large(seconds):
        await trio.sleep(seconds)
        return "x" * 500_000

    async with queue:
        jobs = await queue.enqueue_many(large.bind(1 + number % 2) for number in range(400))
        async with at_work(trioq.Worker(queue, concurrency=400)), trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(job.result)
    assert max(asked) == 300
    assert {state for states in read for state in states} == {"completed"}
    assert max(map(len, read)) <= 8, "4 MiB in one read"
    assert sum(map(len, read)) == 400, "each once"


async def test_what_ends_during_a_read_is_not_missed(autojump_clock, store, queue, nap, at_work):
    ended = {}

    async def wait(job, seconds):
        await job.result()
        ended[seconds] = trio.current_time()

    async with queue:
        store.seconds = 0.4
        async with at_work(trioq.Worker(queue)), trio.open_nursery() as nursery:
            for seconds in (0.1, 0.5, 1.3, 1.5):
                nursery.start_soon(wait, await nap.enqueue(seconds), seconds)
    # Each is answered by the read under way, or the next one.
    assert all(at <= seconds + 2 * 0.4 + 0.01 for seconds, at in ended.items()), ended


async def test_who_comes_during_a_read_is_answered_by_the_next(autojump_clock, store, queue, nap):
    async with queue:
        first, second = await nap.enqueue(), await nap.enqueue()
        await trioq.Worker(queue).run_until_idle()
        store.seconds = 0.4
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.result)
            await trio.sleep(0.2)
            nursery.start_soon(second.result)
        assert trio.current_time() <= 0.9


async def test_without_hints_a_slow_poll_finds_the_end(autojump_clock, store, queue, nap, at_work):
    store.deaf = True
    async with queue:
        job = await nap.enqueue(5.1)
        async with at_work(trioq.Worker(queue)):
            await job.result()
            assert trio.current_time() <= 5.1 + 2.5 + 1


async def test_an_outage_is_waited_out(autojump_clock, store, queue, nap, at_work):
    async with queue:
        job = await nap.enqueue(1)
        await trioq.Worker(queue).run_until_idle()
        store.errors = [BackendUnavailable("away")] * 3
        assert await job.result() == 1


async def test_a_refusal_of_the_store_reaches_those_who_wait(autojump_clock, store, queue, nap):
    async with queue:
        job = await nap.enqueue(1)
        store.errors = [BackendError("nonsense")]
        with pytest.raises(BackendError, match="nonsense"):
            await job.result()
        await trioq.Worker(queue).run_until_idle()
        assert await job.result() == 1


async def test_when_the_queue_is_left_those_who_still_wait_are_told(autojump_clock, queue, nap):
    async def wait(job):
        with pytest.raises(trioq.BackendNotOpen):
            await job.result()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery, queue:
            nursery.start_soon(wait, await nap.enqueue())
            await trio.sleep(1)


async def test_no_reader_is_left_behind(autojump_clock, queue, nap, at_work):
    async with queue, at_work(trioq.Worker(queue)):
        await wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        await (await nap.enqueue(1)).result()
        with trio.move_on_after(1):
            await (await nap.enqueue(100)).result()
        await trio.sleep(2)
        running = 1
        assert trio.lowlevel.current_statistics().tasks_living <= before + running


async def test_a_handle_shows_what_it_is(autojump_clock, queue, nap):
    async with queue:
        job = await nap.options(id="mine").enqueue()
        assert (job.id, job.created, repr(job)) == ("mine", True, "<JobHandle 'mine' of queue 'q'>")
        assert await job.state() == "waiting"
        with pytest.raises(AttributeError):
            job.id = "other"
