"""Dequeue: what it claims, when it asks, and what it gives back."""

from __future__ import annotations

import math
import time

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq
from trioq.abc import Claimed


async def test_no_more_jobs_are_leased_than_can_start(autojump_clock, queue, at_work):
    @queue.task
    async def nap():
        await trio.sleep(1)

    async with queue:
        await queue.enqueue_many(nap.bind() for _ in range(10))
        async with at_work(trioq.Worker(queue, concurrency=3)):
            for _ in range(3):
                await trio.sleep(0.5)
                counts = await queue.counts()
                assert counts["active"] == 3
                assert counts["waiting"] + counts["completed"] == 7
                await trio.sleep(0.5)


async def test_no_more_jobs_are_leased_than_there_are_rate_tokens(autojump_clock, queue, at_work):
    @queue.task
    async def nap():
        await trio.sleep(0.5)

    async with queue:
        await queue.enqueue_many(nap.bind() for _ in range(10))
        async with at_work(trioq.Worker(queue, concurrency=10, rate_limit=2, rate_interval=1)):
            await trio.sleep(0.25)
            assert (await queue.counts())["active"] == 2
            assert (await queue.counts())["waiting"] == 8
            await trio.sleep(0.5)
            assert (await queue.counts())["active"] == 0
            assert (await queue.counts())["waiting"] == 8
            await trio.sleep(0.5)
            assert (await queue.counts())["active"] == 2


async def test_jobs_that_one_worker_cannot_start_are_there_for_another(autojump_clock, queue, at_work):
    ran_by = []

    @queue.task
    async def nap():
        ran_by.append(trioq.current_job()._running.job.worker.partition(":")[0])
        await trio.sleep_forever()

    async with queue:
        await queue.enqueue_many(nap.bind() for _ in range(3))
        async with at_work(trioq.Worker(queue, concurrency=2, name="a")):
            await wait_all_tasks_blocked()
            async with at_work(trioq.Worker(queue, concurrency=2, name="b")):
                await wait_all_tasks_blocked()
                assert sorted(ran_by) == ["a", "a", "b"]


@pytest.mark.parametrize(("concurrency", "claims"), [(100, [50, 50]), (30, [20, 10]), (20, [20])])
async def test_many_slots_are_claimed_for_one_half_after_the_other(
    autojump_clock, store, queue, at_work, concurrency, claims
):
    @queue.task
    async def nap():
        await trio.sleep(1)

    async with queue:
        await queue.enqueue_many(nap.bind() for _ in range(concurrency))
        async with at_work(trioq.Worker(queue, concurrency=concurrency)):
            await trio.sleep(0.5)
            assert (await queue.counts())["active"] == concurrency
            assert store.sizes["claim"] == claims


async def test_the_request_for_one_half_leaves_before_the_handlers_of_the_other_begin(autojump_clock, faulty, at_work):
    class Distant(faulty):
        """A store whose requests go through two tasks before they leave."""

        async def claim(self, *args):
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            left.append("a claim")
            return await super().claim(*args)

    left = []
    queue = trioq.Queue("q", Distant())

    @queue.task
    async def begin():
        left.append("a handler")

    async with queue:
        await queue.enqueue_many(begin.bind() for _ in range(500))
        async with at_work(trioq.Worker(queue, concurrency=100)):
            await trio.sleep(0.5)
    assert left == ["a claim", *["a claim", *["a handler"] * 50] * 10]


async def test_an_idle_worker_holds_neither_slots_nor_tokens(autojump_clock, queue, at_work):
    slots = trio.CapacityLimiter(5)
    rate = trioq.RateLimiter(5, 1)
    async with at_work(trioq.Worker(queue, concurrency=slots, rate_limit=rate)):
        for _ in range(4):
            await trio.sleep(1.3)
            assert slots.borrowed_tokens == 0
            assert rate.statistics().available == 5


async def test_slots_and_tokens_that_a_claim_did_not_use_come_back_at_once(autojump_clock, queue, at_work):
    @queue.task
    async def nap():
        await trio.sleep(10)

    slots = trio.CapacityLimiter(5)
    rate = trioq.RateLimiter(5, 100)
    async with at_work(trioq.Worker(queue, concurrency=slots, rate_limit=rate)):
        await nap.enqueue()
        await wait_all_tasks_blocked()
        assert slots.borrowed_tokens == 1
        assert rate.statistics().available == 4


async def test_a_full_worker_waits_without_a_token_in_hand(autojump_clock, queue, at_work):
    @queue.task
    async def nap():
        await trio.sleep(10)

    rate = trioq.RateLimiter(5, 1)
    async with at_work(trioq.Worker(queue, concurrency=1, rate_limit=rate)):
        await queue.enqueue_many([nap.bind(), nap.bind()])
        await trio.sleep(2)
        assert rate.statistics().available == 5


async def test_two_workers_share_a_limiter_fairly(autojump_clock, store, at_work):
    slots = trio.CapacityLimiter(4)
    queues = [trioq.Queue(name, store) for name in ("a", "b")]
    calls = []
    for queue in queues:

        @queue.task(name="nap")
        async def nap():
            await trio.sleep(1)

        calls.append((queue, nap))

    async with queues[0], queues[1]:
        for queue, task in calls:
            await queue.enqueue_many(task.bind() for _ in range(100))
        workers = [trioq.Worker(queue, concurrency=slots) for queue in queues]
        async with at_work(workers[0]), at_work(workers[1]):
            await trio.sleep(20.5)
            done = [(await queue.counts())["completed"] for queue in queues]
    assert sum(done) == 80
    assert min(done) >= 20, done


async def test_a_worker_whose_store_is_away_keeps_no_slot_from_another(autojump_clock, faulty, at_work):
    slots, rate = trio.CapacityLimiter(4), trioq.RateLimiter(100)
    away, near = trioq.Queue("away", faulty()), trioq.Queue("near", faulty())

    @near.task
    async def quick():
        pass

    async with at_work(trioq.Worker(away, concurrency=slots, rate_limit=rate)):
        away.backend.down = True
        await trio.sleep(10)
        assert slots.borrowed_tokens == 0
        assert rate.statistics().available == 100
        async with at_work(trioq.Worker(near, concurrency=slots)):
            job = await quick.enqueue()
            with trio.fail_after(0.5):
                await job.result()


async def test_a_job_starts_at_once_in_an_idle_worker(autojump_clock, queue, at_work):
    started = []

    @queue.task
    async def note():
        started.append(trio.current_time())

    async with at_work(trioq.Worker(queue)):
        await trio.sleep(10.1)
        await note.enqueue()
        await wait_all_tasks_blocked()
        assert started == [trio.current_time()]


async def test_a_hint_during_a_claim_makes_another(autojump_clock, store, queue, at_work):
    started = []

    @queue.task
    async def note():
        started.append(trio.current_time())

    store.late["claim"] = 0.5
    async with at_work(trioq.Worker(queue)):
        await trio.sleep(0.25)  # its first claim is under way, and has found nothing
        await note.enqueue()
        await trio.sleep(1)
    assert started == [1.0]


@pytest.mark.parametrize("delay", [0.001, 1, 7.25, 300])
async def test_a_delayed_job_starts_on_the_dot(autojump_clock, queue, at_work, delay):
    started = []

    @queue.task
    async def note():
        started.append(trio.current_time())

    async with at_work(trioq.Worker(queue)):
        await trio.sleep(1.7)
        asked = trio.current_time()
        await note.options(delay=delay).enqueue()
        await trio.sleep(delay + 1)
    assert started == [pytest.approx(asked + delay, abs=1e-5)]
    assert started[0] >= asked + delay - 1e-6


async def test_a_delayed_job_starts_on_the_dot_while_others_run(autojump_clock, queue, at_work):
    started = []

    @queue.task
    async def nap():
        await trio.sleep(100)

    @queue.task
    async def note():
        started.append(trio.current_time())

    async with at_work(trioq.Worker(queue, concurrency=2)):
        await nap.enqueue()
        await note.options(delay=5).enqueue()
        await trio.sleep(10)
    assert started == [pytest.approx(5, abs=1e-5)]


async def test_without_hints_a_slow_poll_finds_the_job(autojump_clock, store, queue, at_work):
    started = []

    @queue.task
    async def note():
        started.append(trio.current_time())

    store.deaf = True
    async with at_work(trioq.Worker(queue)):
        await trio.sleep(11)
        await note.enqueue()
        await trio.sleep(3)
    assert len(started) == 1
    assert started[0] <= 11 + 2.5


async def test_an_idle_worker_asks_the_store_at_most_once_a_second(autojump_clock, store, queue, at_work):
    async with at_work(trioq.Worker(queue)):
        await trio.sleep(60)
        before = len(store.calls)
        await trio.sleep(600)
        assert len(store.calls) - before <= 600


@pytest.mark.parametrize("until_idle", [False, True])
async def test_a_due_job_that_a_claim_does_not_bring_is_asked_for_twenty_times_a_second(
    autojump_clock, store, queue, until_idle
):
    """Another transaction has locked its row, and the claim passes it by."""
    claims = []

    async def claim(queues, *rest):
        claims.append(trio.current_time())
        return Claimed(time.time(), [], next_due=time.time() - 1)

    store.inner.claim = claim
    worker = trioq.Worker(queue)
    async with queue:
        with trio.move_on_after(10):
            await (worker.run_until_idle if until_idle else worker.start)()
    assert 190 <= len(claims) <= 202


async def test_a_claim_of_large_jobs_that_comes_too_late_is_followed_by_smaller_ones(
    autojump_clock, store, queue, at_work
):
    """A store that answers with 10 MB at most, in time; what it leased and could not hand over is released."""
    claim = store.inner.claim

    async def claim_in_time(queues, limit, *rest):
        reply = await claim(queues, limit, *rest)
        if sum(len(job.payload) for job in reply.jobs) > 10_000_000:
            raise trioq.BackendUnavailable("no answer within 5 s")
        return reply

    @queue.task
    async def read(text):
        return len(text)

    store.inner.claim = claim_in_time
    async with queue:
        jobs = await queue.enqueue_many(read.bind("x" * 1_000_000) for _ in range(100))
        async with at_work(trioq.Worker(queue, concurrency=100, lease=4)):
            with trio.fail_after(20):
                assert [await job.result() for job in jobs] == [1_000_000] * 100
        assert {job.crashes for job in [await job.refresh() for job in jobs]} == {0}


async def test_a_busy_worker_does_not_poll(autojump_clock, store, queue, at_work):
    @queue.task
    async def nap():
        await trio.sleep(1000)

    async with at_work(trioq.Worker(queue, concurrency=1)):
        await nap.enqueue()
        await wait_all_tasks_blocked()
        before = store.count("claim")
        await trio.sleep(600)
        assert store.count("claim") == before


async def test_queues_take_turns(autojump_clock, store, at_work):
    ran = []
    queues = [trioq.Queue(name, store) for name in ("a", "b", "c")]
    for queue in queues:

        @queue.task(name="note")
        async def note():
            ran.append(trioq.current_job().queue)

    async with queues[0]:
        for queue in queues:
            await queue.enqueue_many(queue.tasks["note"].bind() for _ in range(4))
        await trioq.Worker(*queues, concurrency=1).run_until_idle()
    assert len(ran) == 12
    assert all(set(ran[turn : turn + 3]) == {"a", "b", "c"} for turn in range(0, 12, 3))


async def test_priority_orders_within_a_queue_and_then_age(autojump_clock, queue):
    ran = []

    @queue.task
    async def note(name):
        ran.append(name)

    async with queue:
        for name, priority in [("late", 9), ("first", -5), ("mid 1", 0), ("mid 2", 0), ("second", -1)]:
            await note.options(priority=priority).enqueue(name)
        await trioq.Worker(queue, concurrency=1).run_until_idle()
    assert ran == ["first", "second", "mid 1", "mid 2", "late"]


async def test_a_paused_queue_does_not_hold_up_the_others(autojump_clock, store, at_work):
    shut, free = trioq.Queue("shut", store), trioq.Queue("free", store)
    for queue in (shut, free):

        @queue.task(name="quick")
        async def quick():
            pass

    async with shut:
        await shut.pause()
        await shut.tasks["quick"].enqueue()
        async with at_work(trioq.Worker(shut, free, concurrency=1)):
            await free.tasks["quick"].enqueue()
            await trio.sleep(0.1)
        assert (await free.counts())["completed"] == 1
        assert (await shut.counts())["waiting"] == 1


async def test_claims_stop_while_more_outcomes_are_unsettled_than_there_are_slots(
    autojump_clock, store, queue, at_work
):
    ran = []

    @queue.task
    async def note(number):
        ran.append(number)

    async with queue:
        await queue.enqueue_many(note.bind(number) for number in range(50))
        store.late["settle"] = 10
        async with at_work(trioq.Worker(queue, concurrency=4)) as worker:
            await trio.sleep(5)
            assert len(ran) <= 12
            assert worker.statistics().unsettled > 4
            store.late.clear()
            await trio.sleep(10)
            assert len(ran) == 50


async def test_a_job_on_its_last_life_runs_alone(autojump_clock, store, at_work):
    queue = trioq.Queue("q", store, settings=trioq.Settings(max_crashes=1))
    running, most = 0, 0

    @queue.task
    async def nap():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1

    async with queue:
        await queue.enqueue_many(nap.bind() for _ in range(5))
        await trioq.Worker(queue, concurrency=5).run_until_idle()
        assert (await queue.counts())["completed"] == 5
    assert most == 1


@pytest.fixture
def naps(store):
    """The same queue twice, the jobs of the second on their last lives; and when its task was started."""
    healthy = trioq.Queue("q", store)
    last_life = trioq.Queue("q", store, settings=trioq.Settings(max_crashes=1))
    started = []

    @last_life.task
    @healthy.task
    async def nap(seconds: float):
        started.append(trio.current_time())
        await trio.sleep(seconds)

    return healthy, last_life, started


async def test_a_worker_that_becomes_empty_during_a_claim_takes_a_last_life_job_at_once(
    autojump_clock, store, naps, at_work
):
    healthy, last_life, started = naps
    async with healthy:
        await healthy.enqueue("nap", [1.0])
        await last_life.tasks["nap"].options(delay=0.9).enqueue(0.0)
        store.late["claim"] = 0.2
        async with at_work(trioq.Worker(healthy, concurrency=2)):
            await trio.sleep(5)
    assert started == [pytest.approx(0.2, abs=0.1), pytest.approx(1.4, abs=0.2)]


async def test_a_busy_worker_empties_itself_for_a_last_life_job_that_has_waited_for_a_lease(
    autojump_clock, store, at_work
):
    healthy = trioq.Queue("q", store)
    last_life = trioq.Queue("q", store, settings=trioq.Settings(max_crashes=1))
    running: set[str] = set()
    beside_last_life = []

    async def work(kind):
        running.add(trioq.current_job().id)
        if kind == "last life":
            beside_last_life.append(len(running) - 1)
        await trio.sleep(3)
        if kind == "last life":
            beside_last_life.append(len(running) - 1)
        running.discard(trioq.current_job().id)

    healthy.task(name="work")(work)
    last_life.task(name="work")(work)
    async with healthy:
        await healthy.enqueue("work", ["healthy"])
        async with at_work(trioq.Worker(healthy, concurrency=2, lease=15)):
            await trio.sleep(1)
            await last_life.enqueue("work", ["last life"])
            for _ in range(40):
                await healthy.enqueue("work", ["healthy"])
                await trio.sleep(1.4)
    assert beside_last_life == [0, 0]


async def test_a_worker_stops_making_room_for_a_last_life_job_that_another_has_taken(autojump_clock, naps, at_work):
    healthy, last_life, started = naps
    async with healthy:
        await healthy.enqueue("nap", [500.0])
        async with at_work(trioq.Worker(healthy, concurrency=2, lease=3)):
            await trio.sleep(1)
            await last_life.enqueue("nap", [500.0])
            await trio.sleep(10)
            async with at_work(trioq.Worker(healthy, concurrency=1, lease=3)):
                await trio.sleep(1)
                await healthy.enqueue("nap", [1.0])
                await trio.sleep(5)
                assert len(started) == 3


async def test_a_limiter_without_a_limit_is_fine(autojump_clock, store, queue, at_work):
    @queue.task
    async def nap():
        await trio.sleep(1)

    async with queue:
        await queue.enqueue_many(nap.bind() for _ in range(1500))
        async with at_work(trioq.Worker(queue, concurrency=trio.CapacityLimiter(math.inf))) as worker:
            await trio.sleep(0.5)
            assert (await queue.counts())["active"] == 1500
            assert worker.concurrency == math.inf
    assert max(store.sizes["claim"]) <= 1000
