"""What a worker is made of: its options, where the rest comes from, and what can be seen and changed while it runs."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq


@pytest.fixture
def nap(queue):
    @queue.task
    async def nap(seconds):
        await trio.sleep(seconds)

    return nap


async def test_a_worker_needs_a_queue():
    with pytest.raises(TypeError, match="Worker"):
        trioq.Worker()


async def test_the_queues_of_a_worker_share_one_backend():
    queues = [trioq.Queue(name, "memory:") for name in "ab"]
    with pytest.raises(ValueError, match="share one backend"):
        trioq.Worker(*queues)


async def test_the_queues_of_a_worker_have_different_names(store):
    queues = [trioq.Queue("same", store) for _ in range(2)]
    with pytest.raises(ValueError, match="same name"):
        trioq.Worker(*queues)


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": -1},
        {"concurrency": 1.5},
        {"concurrency": True},
        {"concurrency": "5"},
        {"rate_limit": 0},
        {"rate_limit": -3},
        {"rate_limit": 5, "rate_interval": 0},
        {"rate_limit": 5, "rate_interval": math.nan},
        {"lease": 0},
        {"lease": -1},
        {"lease": math.inf},
        {"lease": math.nan},
        {"grace": -1},
        {"grace": math.nan},
        {"name": ""},
        {"name": "böse"},
    ],
    ids=str,
)
async def test_options_that_make_no_sense_are_refused_at_once(queue, options):
    with pytest.raises(ValueError):
        trioq.Worker(queue, **options)


async def test_what_is_not_given_is_read_from_the_settings_at_the_start(autojump_clock, store, queue, nap, at_work):
    settings = trioq.Settings()
    worker = trioq.Worker(queue, settings=settings)
    settings.worker_concurrency, settings.lease, settings.rate_limit, settings.rate_interval = 3, 8, 2, 10
    async with queue:
        await queue.enqueue_many(nap.bind(1000) for _ in range(10))
        async with at_work(worker):
            await wait_all_tasks_blocked()
            assert worker.concurrency == 3
            assert (await queue.counts())["active"] == 2
            [presence] = await store.workers()
            assert (presence.lease, presence.slots) == (8, 3)
            settings.worker_concurrency = 9
            assert worker.concurrency == 3
        async with at_work(worker):
            assert worker.concurrency == 9


async def test_more_slots_are_used_at_once(autojump_clock, queue, nap, at_work):
    async with queue:
        await queue.enqueue_many(nap.bind(1000) for _ in range(10))
        async with at_work(trioq.Worker(queue, concurrency=2)) as worker:
            await wait_all_tasks_blocked()
            worker.concurrency = 5
            await wait_all_tasks_blocked()
            assert worker.concurrency == 5
            assert (await queue.counts())["active"] == 5


async def test_fewer_slots_are_kept_as_jobs_end(autojump_clock, queue, nap, at_work):
    async with queue:
        await queue.enqueue_many(nap.bind(1) for _ in range(20))
        async with at_work(trioq.Worker(queue, concurrency=5)) as worker:
            await trio.sleep(0.5)
            worker.concurrency = 2
            await trio.sleep(1)
            assert (await queue.counts())["active"] == 2
            with pytest.raises(ValueError, match="concurrency"):
                worker.concurrency = 0


async def test_concurrency_can_be_set_before_the_start(autojump_clock, queue):
    worker = trioq.Worker(queue)
    worker.concurrency = 7
    assert worker.concurrency == 7


async def test_concurrency_is_never_exceeded(autojump_clock, queue):
    running, most = 0, 0

    @queue.task(max_retries=1, backoff=trioq.Fixed(0.01))
    async def count(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(number % 7 / 10)
        running -= 1
        if number % 5 == 0:
            raise ValueError

    async with queue:
        await queue.enqueue_many(count.bind(number) for number in range(100))
        await trioq.Worker(queue, concurrency=6).run_until_idle(delayed=True)
    assert most == 6


async def test_statistics_tell_what_it_does_and_has_done(autojump_clock, queue, nap, at_work):
    @queue.task(max_retries=1, backoff=trioq.Fixed(0))
    async def fail():
        raise ValueError

    worker = trioq.Worker(queue, concurrency=4)
    assert worker.statistics().claimed == 0
    async with queue:
        async with at_work(worker, grace=1000):
            await fail.enqueue()
            await nap.enqueue(1)
            await nap.enqueue(500)
            await trio.sleep(5)
            now = worker.statistics()
            assert (now.running, now.unsettled, now.claimed) == (1, 0, 4)
            assert (now.completed, now.retried, now.failed, now.lost) == (1, 1, 1, 0)
            assert not now.draining
            worker.stop(100)
            assert worker.statistics().draining
            with pytest.raises(AttributeError):
                now.running = 0
        after = worker.statistics()
    assert (after.running, after.draining, after.claimed) == (0, False, 4)


async def test_a_worker_names_itself(queue):
    assert trioq.Worker(queue).name
    assert repr(trioq.Worker(queue, name="fred")) == "<Worker 'fred' of q>"


async def test_a_shared_rate_limiter_is_used_as_it_is(autojump_clock, queue, nap, at_work):
    rate = trioq.RateLimiter(3, 100)
    async with queue:
        await queue.enqueue_many(nap.bind(0) for _ in range(10))
        async with at_work(trioq.Worker(queue, rate_limit=rate)):
            await trio.sleep(1)
            assert rate.statistics().available == 0
            assert (await queue.counts())["completed"] == 3


async def test_what_is_no_queue_is_refused_with_a_sentence():
    with pytest.raises(TypeError, match="takes Queue objects"):
        trioq.Worker("emails")


async def test_a_lifespan_that_is_no_context_manager_is_refused_with_the_way_to_mend_it(autojump_clock, queue):
    async def lifespan(worker):
        yield

    with pytest.raises(TypeError, match="asynccontextmanager"):
        await trioq.Worker(queue, lifespan=lifespan).run_until_idle()


async def test_settings_are_read_when_the_worker_starts(autojump_clock, queue, nap, at_work):
    settings = trioq.Settings(max_payload_bytes=1000)

    @queue.task
    async def talk():
        return "x" * 500

    async with queue, at_work(trioq.Worker(queue, settings=settings)):
        settings.max_payload_bytes = 10
        assert len(await (await talk.enqueue()).result()) == 500


async def test_the_cancel_scope_can_be_taken_before_the_start(autojump_clock, queue, nap):
    worker = trioq.Worker(queue)
    scope = worker.cancel_scope
    async with queue:
        job = await nap.enqueue(100)
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.start)
            await wait_all_tasks_blocked()
            scope.cancel()
        assert await job.state() == "waiting"
        assert worker.cancel_scope is not scope


async def test_a_restart_does_not_double_the_rate(autojump_clock, queue):
    starts = []

    @queue.task
    async def note():
        starts.append(trio.current_time())

    worker = trioq.Worker(queue, rate_limit=3, rate_interval=10)
    async with queue:
        for _ in range(2):
            await queue.enqueue_many([note.bind(), note.bind()])
            await worker.run_until_idle()
    assert starts[3] - starts[0] >= 10
