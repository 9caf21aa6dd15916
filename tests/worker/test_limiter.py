"""Limiter: how many start in a window, and who may not start at all."""

from __future__ import annotations

import time

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq


def most_in_a_window(starts, interval):
    return max(sum(start <= other < start + interval for other in starts) for start in starts)


@pytest.mark.parametrize(("limit", "interval"), [(1, 1.0), (3, 1.0), (5, 0.1), (7, 10.0)])
async def test_no_window_ever_holds_more_starts_than_the_limit(autojump_clock, queue, limit, interval):
    starts = []

    @queue.task(max_retries=1, backoff=trioq.Fixed(interval / 3))
    async def note(number):
        starts.append(trio.current_time())
        await trio.sleep(interval * (number % 4) / 3)
        if number % 3 == 0:
            raise ValueError

    async with queue:
        await queue.enqueue_many(note.bind(number) for number in range(20))
        await trioq.Worker(queue, concurrency=10, rate_limit=limit, rate_interval=interval).run_until_idle(delayed=True)
    assert len(starts) == 27  # 7 of the 20 were tried twice
    assert most_in_a_window(starts, interval - 1e-9) <= limit


async def test_the_limit_is_used_up(autojump_clock, queue):
    starts = []

    @queue.task
    async def note():
        starts.append(trio.current_time())

    async with queue:
        await queue.enqueue_many(note.bind() for _ in range(20))
        await trioq.Worker(queue, concurrency=10, rate_limit=4, rate_interval=1).run_until_idle()
    assert starts == sorted([0.0, 1.0, 2.0, 3.0, 4.0] * 4)


async def test_two_workers_that_share_a_rate_limiter_keep_it_together(autojump_clock, store, at_work):
    starts = []
    rate = trioq.RateLimiter(3, 1)
    queues = [trioq.Queue(name, store) for name in ("a", "b")]
    for queue in queues:

        @queue.task(name="note")
        async def note():
            starts.append(trio.current_time())

    async with queues[0]:
        for queue in queues:
            await queue.enqueue_many(queue.tasks["note"].bind() for _ in range(9))
        async with at_work(trioq.Worker(queues[0], rate_limit=rate)), at_work(trioq.Worker(queues[1], rate_limit=rate)):
            await trio.sleep(5.5)
    assert len(starts) == 18
    assert most_in_a_window(starts, 1 - 1e-9) <= 3


async def test_what_the_rate_holds_back_stays_waiting(autojump_clock, queue, at_work):
    @queue.task
    async def quick():
        pass

    async with queue:
        await queue.enqueue_many(quick.bind() for _ in range(5))
        async with at_work(trioq.Worker(queue, rate_limit=2, rate_interval=100)):
            await trio.sleep(50)
            counts = await queue.counts()
    assert (counts["completed"], counts["waiting"], counts["active"]) == (2, 3, 0)


async def test_expired_jobs_spend_no_token(autojump_clock, queue, at_work, told):
    starts = []

    @queue.task
    async def note():
        starts.append(trio.current_time())

    async with queue:
        await queue.enqueue_many(note.options(ttl=1).bind() for _ in range(10))
        await note.enqueue()
        await trio.sleep(2)
        async with at_work(trioq.Worker(queue, concurrency=4, rate_limit=1, rate_interval=100)):
            await trio.sleep(0.1)
            counts = await queue.counts()
    assert starts == [2.0]
    assert (counts["expired"], counts["completed"]) == (10, 1)
    assert len(await told.all("job:expired")) == 10


async def test_a_ttl_is_judged_again_when_the_job_could_start(autojump_clock, queue):
    started = []

    @queue.task(priority=-1)
    async def block():
        autojump_clock.jump(10)  # a handler that keeps the loop to itself

    @queue.task(ttl=5)
    async def note(born):
        started.append(trio.current_time() - born)

    async with queue:
        for _ in range(5):  # the tasks of one batch start in any order
            await block.enqueue()
            await queue.enqueue_many(note.bind(trio.current_time()) for _ in range(4))
            await trioq.Worker(queue).run_until_idle()
        counts = await queue.counts()
    assert all(age < 5 for age in started)
    assert counts["completed"] == 5 + len(started)
    assert counts["expired"] == 20 - len(started) > 0


async def test_a_job_is_expired_exactly_at_its_ttl(autojump_clock, queue):
    ran = []

    @queue.task(ttl=8)
    async def note():
        ran.append(1)

    async with queue:
        job = await note.enqueue()
        await trio.sleep(8)
        await trioq.Worker(queue).run_until_idle()
        assert await job.state() == "expired"
    assert ran == []


async def test_a_ttl_that_runs_out_while_a_claim_is_answered_counts(autojump_clock, store, queue, at_work):
    ran = []

    @queue.task(ttl=2)
    async def note():
        ran.append(1)

    async with queue, at_work(trioq.Worker(queue)):
        await trio.sleep(1)
        store.late["claim"] = 3
        job = await note.enqueue()
        await trio.sleep(4)
        assert await job.state() == "expired"
    assert ran == []


@pytest.fixture(params=[0, 3600], ids=["right", "fast"])
def wall_clock(request, monkeypatch, wall_clock_stands_still):
    """Seconds by which the wall clock is ahead of the store's, once it is called."""
    right = time.time()
    return lambda: monkeypatch.setattr(time, "time", lambda: right + trio.current_time() + request.param)


async def test_a_first_request_that_takes_long_ends_no_ttl_too_early(autojump_clock, store, queue, at_work, wall_clock):
    ran = []

    @queue.task(ttl=4)
    async def note():
        ran.append(trio.current_time())

    async with queue:
        job = await note.enqueue()
        await trio.sleep(2)
        wall_clock()
        store.slow = {"claim": 1.5, "renew": 1.5}  # both are asked at once; by the answers alone it may be 5 s
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(1.25)
            store.slow.clear()
            await trio.sleep(1)
        assert await job.state() == "completed"
    assert ran == [3.5]


async def test_a_first_answer_that_takes_long_begins_nothing_that_a_wall_clock_takes_for_expired(
    autojump_clock, store, queue, at_work, wall_clock
):
    ran = []

    @queue.task(ttl=3)
    async def note():
        ran.append(trio.current_time())

    async with queue:
        job = await note.enqueue()
        await trio.sleep(2)
        wall_clock()
        store.late = {"claim": 1.5, "renew": 1.5}
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(1.25)
            store.late.clear()
            await trio.sleep(1)
        assert await job.state() == "expired"
    assert ran == []


async def test_a_job_whose_lease_ran_out_on_its_way_here_does_not_begin(autojump_clock, store, queue, at_work, told):
    ran = []

    @queue.task
    async def note():
        ran.append(trio.current_time())

    async with queue, at_work(trioq.Worker(queue, lease=8)):
        await trio.sleep(1)
        store.late["claim"] = 10  # to this process it looks as if it stood still meanwhile
        store.fail("renew", times=100)
        job = await note.enqueue()
        await trio.sleep(10.5)
        assert ran == []
        assert (await job.refresh()).failures == 0
        assert "job:started" not in await told.names("job:")
        store.late.clear()
        store._plans.clear()
        await trio.sleep(30)
        record = await job.refresh()
        assert (record.state, record.failures) == ("completed", 0)
    assert len(ran) == 1


async def test_a_lease_is_judged_again_when_the_job_could_start(autojump_clock, queue, told):
    late = []

    @queue.task(priority=-1)
    async def block():
        autojump_clock.jump(20)  # longer than the lease

    @queue.task
    async def note(born):
        if trio.current_time() - born >= 20 and trioq.current_job().run == 1:
            late.append(born)

    async with queue:
        for _ in range(5):  # the tasks of one batch start in any order
            await block.enqueue()
            await queue.enqueue_many(note.bind(trio.current_time()) for _ in range(4))
            await trioq.Worker(queue, lease=15).run_until_idle()
        counts = await queue.counts()
    assert late == []
    assert counts["completed"] == 25
    assert await told.all("job:released")


async def test_a_ttl_never_stops_a_running_handler(autojump_clock, queue):
    @queue.task(ttl=1)
    async def nap():
        await trio.sleep(100)
        return "done"

    async with queue:
        job = await nap.enqueue()
        await trioq.Worker(queue).run_until_idle()
        assert await job.result() == "done"


async def test_a_retry_that_comes_due_after_the_ttl_expires(autojump_clock, queue, told):
    @queue.task(ttl=5, backoff=trioq.Fixed(10))
    async def fail():
        raise ValueError

    async with queue:
        job = await fail.enqueue()
        await trioq.Worker(queue).run_until_idle(delayed=True)
        assert await job.state() == "expired"
    assert await told.names("job:") == ["job:enqueued", "job:started", "job:retrying", "job:expired"]


async def test_a_job_cancelled_on_its_way_from_the_store_is_stopped_before_its_first_second(
    autojump_clock, store, queue, at_work
):
    under_way = set()

    @queue.task
    async def nap():
        under_way.add("nap")
        try:
            await trio.sleep_forever()
        finally:
            under_way.remove("nap")

    async with queue:
        job = await nap.enqueue()
        store.late["claim"] = 1
        async with at_work(trioq.Worker(queue, lease=4)):
            await trio.sleep(0.5)
            store.late.clear()
            assert await job.cancel()
            await trio.sleep(0.6)
            assert await job.state() == "cancelled"
            assert not under_way


async def test_a_rate_limiter_shared_with_a_caller_counts_both(autojump_clock, queue, at_work):
    starts = []
    rate = trioq.RateLimiter(2, 1)

    @queue.task
    async def note():
        starts.append(trio.current_time())

    async with at_work(trioq.Worker(queue, rate_limit=rate)):
        await rate.acquire()
        starts.append(trio.current_time())
        await queue.enqueue_many(note.bind() for _ in range(5))
        await wait_all_tasks_blocked()
        assert len(starts) == 2
        await trio.sleep(5)
    assert len(starts) == 6
    assert most_in_a_window(starts, 1 - 1e-9) <= 2
