"""Sweep and prune: what dead workers held comes back, what no worker claims expires, what is past retention goes."""

from __future__ import annotations

import attrs
import pytest
import trio

import trioq
from trioq import BackendError
from trioq.abc import Presence

DEAD = Presence(worker="dead:1", name="dead", host="elsewhere", slots=1, lease=15)


@pytest.fixture
def quick(queue):
    @queue.task
    async def quick():
        return trioq.current_job().run

    return quick


async def claim_as_the_dead(store, lease=15, limit=1):
    """What a worker leaves behind that was killed right after a claim, before its first renewal."""
    return (await store.inner.claim(["q"], limit, DEAD.worker, lease, True)).jobs


async def test_a_dead_workers_job_runs_elsewhere_within_a_lease_and_a_quarter(
    autojump_clock, store, queue, quick, at_work, told
):
    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store)
        async with at_work(trioq.Worker(queue, lease=15)):
            with trio.fail_after(15 * 1.25 + 0.1):
                assert await job.result() == 2
        record = await job.refresh()
        assert (record.crashes, record.failures, record.attempt) == (1, 0, 1)
        assert await told.names("job:stalled") == ["job:stalled"]


async def test_it_is_not_taken_over_while_its_lease_lasts(autojump_clock, store, queue, quick, at_work):
    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store, lease=100)
        async with at_work(trioq.Worker(queue, lease=4)):
            await trio.sleep(99)
            assert (await job.refresh()).run == 1
            await trio.sleep(3)
            assert (await job.refresh()).state == "completed"


async def test_a_job_whose_lease_ran_out_too_often_is_a_dead_letter_with_the_reason(
    autojump_clock, store, queue, quick, at_work, told
):
    async with queue:
        job = await quick.enqueue()
        async with at_work(trioq.Worker(trioq.Queue("other", store), lease=4)):
            for crash in (1, 2, 3):
                assert len(await claim_as_the_dead(store, lease=4)) == 1
                await trio.sleep(6)
                assert (await job.refresh()).crashes == crash
        record = await job.refresh()
        assert (record.state, record.failures) == ("failed", 0)
        assert "dead:1" in record.error
        assert [event.name for event in await told.all("job:") if event.name in ("job:stalled", "job:failed")] == [
            "job:stalled",
            "job:stalled",
            "job:failed",
        ]


async def test_reclaimed_jobs_keep_their_place_in_the_order(autojump_clock, store, queue, at_work):
    ran = []

    @queue.task
    async def note(name):
        ran.append(name)

    async with queue:
        await note.options(priority=-1).enqueue("first")
        await claim_as_the_dead(store)
        for name in ("second", "third"):
            await note.enqueue(name)
        await queue.pause()
        async with at_work(trioq.Worker(queue, concurrency=1, lease=4)):
            await trio.sleep(20)
            await queue.resume()
            await trio.sleep(1)
    assert ran == ["first", "second", "third"]


async def test_a_worker_never_reclaims_a_job_that_it_runs(autojump_clock, store, queue, at_work):
    @queue.task
    async def nap():
        await trio.sleep(100)

    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue, lease=4)):
            renew = store.inner.renew

            async def renew_nothing(worker, leases):
                return await renew(worker, [])

            store.inner.renew = renew_nothing
            await trio.sleep(99)
            record = await job.refresh()
            assert (record.state, record.run, record.crashes) == ("active", 1, 0)


async def test_nothing_is_reclaimed_for_one_lease_after_an_outage(autojump_clock, store, queue, quick, at_work):
    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store, lease=20)
        async with at_work(trioq.Worker(queue, lease=10)):
            await trio.sleep(5)
            store.down = True
            await trio.sleep(25)
            store.down = False
            await trio.sleep(9.9)  # its lease ran out long ago, and its owner may just be coming back
            assert (await store.inner.get("q", [job.id])).jobs[0].crashes == 0
            await trio.sleep(6)
            assert await job.result() == 2


async def test_nothing_is_reclaimed_for_one_lease_after_the_loop_was_blocked(
    autojump_clock, store, queue, quick, at_work
):
    @queue.task
    async def greedy():
        autojump_clock.jump(30)

    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store, lease=20)
        async with at_work(trioq.Worker(queue, lease=10)):
            await trio.sleep(5)
            await greedy.enqueue()
            await trio.sleep(9.9)
            assert (await job.refresh()).crashes == 0
            await trio.sleep(6)
            assert await job.result() == 2


async def test_nothing_is_reclaimed_by_a_sweep_that_was_under_way_while_the_loop_was_blocked(
    autojump_clock, store, queue, quick, at_work
):
    overdue = store.inner.overdue

    async def look_while_the_loop_is_blocked(limit):
        found = await overdue(limit)
        autojump_clock.jump(30)
        return found

    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store, lease=4.5)
        async with at_work(trioq.Worker(queue, lease=10)):
            await trio.sleep(4)
            store.inner.overdue = look_while_the_loop_is_blocked
            await trio.sleep(1.25)
            store.inner.overdue = overdue
            await trio.sleep(9)
            assert (await job.refresh()).crashes == 0
            await trio.sleep(6)
            assert await job.result() == 2


async def test_nothing_is_reclaimed_for_one_lease_after_a_renewal_that_took_long(
    autojump_clock, store, queue, quick, at_work
):
    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store, lease=14)
        async with at_work(trioq.Worker(queue, lease=10)):
            await trio.sleep(9)
            store.late["renew"] = 5
            await trio.sleep(6.5)  # the renewal at 10 has been answered at 15
            assert (await job.refresh()).crashes == 0
            store.late.clear()
            await trio.sleep(6)
            assert (await job.refresh()).crashes == 0
            await trio.sleep(15)
            assert await job.result() == 2


@pytest.mark.parametrize("verb", ["claim", "settle", "get"])
async def test_what_the_dead_held_is_taken_back_though_other_calls_are_slow(
    autojump_clock, store, queue, quick, at_work, verb
):
    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store, lease=5)
        store.late = {verb: 0.8}
        async with at_work(trioq.Worker(queue, lease=3)):
            for _ in range(20):
                await quick.enqueue()
                await trio.sleep(0.6)
        assert (await job.refresh()).crashes == 1


async def test_a_refused_reclaim_does_not_keep_others_from_theirs(autojump_clock, store, queue, quick, at_work):
    async with queue:
        jobs = await queue.enqueue_many(quick.bind() for _ in range(3))
        await claim_as_the_dead(store, lease=4, limit=3)
        store.refused = lambda change: change.id == jobs[1].id and BackendError("not this one")
        async with at_work(trioq.Worker(queue, lease=4)):
            await trio.sleep(10)
            assert [await job.state() for job in jobs] == ["completed", "active", "completed"]


async def test_a_job_that_no_worker_claims_expires(autojump_clock, store, queue, quick, at_work, told):
    async with queue:
        await queue.pause()
        paused = await quick.options(ttl=10).enqueue()
        delayed = await quick.options(ttl=10, delay=9).enqueue()
        async with at_work(trioq.Worker(trioq.Queue("other", store), lease=4)):
            await trio.sleep(9.9)
            assert await paused.state() == "waiting"
            await trio.sleep(2)
            assert [await job.state() for job in (paused, delayed)] == ["expired", "expired"]
        assert len(await told.all("job:expired")) == 2
        with pytest.raises(trioq.JobExpired):
            await paused.result()


async def test_the_sweep_outlives_failures_of_the_store(autojump_clock, store, queue, quick, at_work):
    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store, lease=4)
        async with at_work(trioq.Worker(queue, lease=4)):
            store.fail("overdue", times=3)
            store.fail("overdue", error=BackendError("nonsense"))
            store.fail("settle", error=BackendError("nonsense"))
            await trio.sleep(30)
            assert await job.result() == 2


async def test_finished_jobs_past_retention_are_dropped(autojump_clock, store, at_work):
    settings = trioq.Settings(keep_completed=100, keep_dead=300, max_retries=0)
    queue = trioq.Queue("q", store, settings=settings)

    @queue.task
    async def end(well):
        if not well:
            raise ValueError

    async with queue:
        good, bad = await end.enqueue(True), await end.enqueue(False)
        async with at_work(trioq.Worker(queue, settings=settings)):
            await trio.sleep(90)
            assert (await good.state(), await bad.state()) == ("completed", "failed")
            await trio.sleep(80)
            assert await queue.job(good.id) is None
            assert await bad.state() == "failed"
            await trio.sleep(200)
            assert await queue.job(bad.id) is None
            with pytest.raises(trioq.JobNotFound):
                await bad.result()


async def test_no_more_finished_jobs_are_kept_than_allowed(autojump_clock, store, at_work):
    settings = trioq.Settings(keep_completed_max=5)
    queue = trioq.Queue("q", store, settings=settings)

    @queue.task
    async def quick():
        pass

    async with queue:
        await queue.enqueue_many(quick.bind() for _ in range(2500))
        async with at_work(trioq.Worker(queue, concurrency=500, settings=settings)):
            await trio.sleep(130)
            assert (await queue.counts())["completed"] == 5


async def test_each_worker_prunes_its_own_queues_by_its_own_settings(autojump_clock, store, at_work):
    short, long = trioq.Settings(keep_completed=10), trioq.Settings(keep_completed=1000)
    queues = [trioq.Queue(name, store, settings=settings) for name, settings in (("short", short), ("long", long))]

    async def quick():
        pass

    async with queues[0], queues[1]:
        for queue in queues:
            await queue.task(quick).enqueue()
        workers = [trioq.Worker(queue, settings=queue.settings) for queue in queues]
        async with at_work(workers[0]), at_work(workers[1]):
            await trio.sleep(200)
            assert [(await queue.counts())["completed"] for queue in queues] == [0, 1]
            await trio.sleep(1000)
            assert [(await queue.counts())["completed"] for queue in queues] == [0, 0]


async def test_each_worker_sweeps_once_a_quarter(autojump_clock, store, queue, at_work):
    async with at_work(trioq.Worker(queue, lease=8)):
        await trio.sleep(1)
        before = store.count("overdue")
        await trio.sleep(20)
        assert store.count("overdue") - before == 10


async def test_no_worker_is_taken_for_dead_when_the_stores_clock_leaps(autojump_clock, store, queue, at_work):
    leap = 0.0

    def clock():
        return 1e9 + trio.current_time() + leap

    store.inner._clock = clock
    runs = []

    @queue.task
    async def nap():
        runs.append(1)
        await trio.sleep(20)

    async with queue:
        await queue.enqueue_many([nap.bind() for _ in range(4)])
        workers = [trioq.Worker(queue, concurrency=2, lease=4) for _ in range(2)]
        async with at_work(workers[0]):
            await trio.sleep(0.5)  # so that one sweeps when the other has not renewed yet
            async with at_work(workers[1]):
                await trio.sleep(
                    6.25
                )  # more than a lease: its first reply may have made each of them distrust its view
                leap = 60
                await trio.sleep(30)
    assert len(runs) == 4


async def test_a_worker_that_starts_as_an_outage_ends_takes_no_other_for_dead(
    autojump_clock, faulty, store, queue, at_work
):
    @queue.task
    async def nap():
        await trio.sleep(60)
        return "once"

    store.inner._clock = lambda: 1e9 + trio.current_time()
    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue, lease=4)):
            await trio.sleep(1)
            store.down = True
            await trio.sleep(10)
            fresh = trioq.Queue("q", faulty(store.inner))
            fresh.tasks.update(queue.tasks)
            async with fresh, at_work(trioq.Worker(fresh, lease=4)):
                await trio.sleep(3)
                store.down = False
                assert await job.result() == "once"
        assert ((await job.refresh()).run, (await job.refresh()).crashes) == (1, 0)


# --- what holds up no sweep ---------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["claim", "settle", "overdue", "prune"])
async def test_requests_that_fail_now_and_then_keep_no_job_of_a_dead_worker(
    autojump_clock, store, queue, quick, at_work, nursery, verb
):
    """Only a renewal of its own that failed lets a worker doubt that other workers could renew."""

    async def fail_now_and_then():
        while True:
            if not store._plans[verb]:
                store.fail(verb)
            await trio.sleep(5)

    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store)
        nursery.start_soon(fail_now_and_then)
        async with at_work(trioq.Worker(queue, lease=15)):
            with trio.fail_after(15 * 1.75):
                assert await job.result() == 2


async def test_large_jobs_of_a_dead_worker_are_read_a_few_at_a_time(autojump_clock, store, queue, quick, at_work):
    """A store that can't answer with many of them in time."""
    overdue = store.inner.overdue

    async def overdue_in_time(limit):
        reply = await overdue(limit)
        if len(reply.jobs) > 10:
            raise trioq.BackendUnavailable("no answer within 5 s")
        return attrs.evolve(reply, jobs=[job.having({"payload": job.payload.ljust(10**6)}) for job in reply.jobs])

    store.inner.overdue = overdue_in_time
    async with queue:
        jobs = await queue.enqueue_many(quick.bind() for _ in range(100))
        await claim_as_the_dead(store, limit=100)
        async with at_work(trioq.Worker(queue, lease=15)):
            with trio.fail_after(15 * 1.75):
                assert [await job.result() for job in jobs] == [2] * 100


async def test_pruning_for_however_long_holds_up_no_sweep(autojump_clock, store, queue, quick, at_work):
    store.slow["prune"] = 4.0
    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store)
        store.inner.prune = lambda queues, limits, batch: full(batch)
        async with at_work(trioq.Worker(queue, lease=15)):
            with trio.fail_after(15 * 1.25 + 0.1):
                assert await job.result() == 2


async def full(batch):
    await trio.lowlevel.checkpoint()
    return batch


async def test_a_pass_of_pruning_ends_after_a_while_and_the_next_goes_on(autojump_clock, store, queue, at_work):
    store.slow["prune"] = 4.0
    async with queue:
        store.inner.prune = lambda queues, limits, batch: full(batch)
        async with at_work(trioq.Worker(queue, lease=15)):
            await trio.sleep(50)
            assert store.count("prune") == 5  # 20 s of 4 s each
            await trio.sleep(50)
            assert store.count("prune") == 10


async def test_pruning_that_is_refused_is_logged_once_a_minute(autojump_clock, store, queue, at_work, caplog):
    store.fail("prune", times=100, error=BackendError("not allowed to delete"))
    async with queue, at_work(trioq.Worker(queue, lease=15)):
        await trio.sleep(170)
    warnings = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert warnings == ["jobs past retention can't be dropped; trying again in 60 s: not allowed to delete"] * 3


async def test_a_slow_answer_keeps_no_job_of_a_dead_worker(autojump_clock, store, queue, quick, at_work):
    store.late["overdue"] = 5.0
    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store)
        async with at_work(trioq.Worker(queue, lease=15)):
            with trio.fail_after(15 * 1.25 + 5.1):
                assert await job.result() == 2


async def test_a_worker_whose_renewal_failed_takes_no_other_for_dead(autojump_clock, faulty, store, queue, at_work):
    """What kept it from renewing may have kept the others from it, too: here one with a much shorter lease."""

    @queue.task
    async def nap():
        await trio.sleep(60)
        return "once"

    store.inner._clock = lambda: 1e9 + trio.current_time()
    other = trioq.Queue("q", faulty(store.inner))
    other.tasks.update(queue.tasks)
    async with queue, other:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue, lease=2)), at_work(trioq.Worker(other, lease=16)):
            await trio.sleep(23.5)
            store.down = other.backend.down = True
            await trio.sleep(2.5)  # less than a quarter of the longer lease
            other.backend.down = False
            await trio.sleep(1)
            store.down = False
            assert await job.result() == "once"
        assert ((await job.refresh()).run, (await job.refresh()).crashes) == (1, 0)


async def test_rows_that_can_not_be_reclaimed_hold_up_none_behind_them(autojump_clock, store, queue, quick, at_work):
    """Four large jobs whose rows another session has locked make a sweep read four jobs at a time."""
    settle = store.inner.settle
    async with queue:
        locked = await queue.enqueue_many(quick.bind() for _ in range(4))
        for job in locked:
            record = store.inner._shelves["q"].jobs[job.id]
            record.__dict__["payload"] = record.payload.ljust(10**6)
        await claim_as_the_dead(store, limit=4)
        behind = await queue.enqueue_many(quick.bind() for _ in range(3))
        await trio.sleep(0.1)
        await claim_as_the_dead(store, limit=3)

        async def settle_unlocked(changes):
            reply = await settle([change for change in changes if change.id not in {job.id for job in locked}])
            verdicts = iter(reply.verdicts)
            rows = {job.id for job in locked}
            return attrs.evolve(reply, verdicts=["stale" if each.id in rows else next(verdicts) for each in changes])

        store.inner.settle = settle_unlocked
        async with at_work(trioq.Worker(queue, lease=15)):
            with trio.fail_after(15 * 1.75):
                assert [await job.result() for job in behind] == [2] * 3


async def test_jobs_of_a_dead_worker_are_reclaimed_as_soon_as_a_fresh_worker_trusts_its_view(
    autojump_clock, store, queue, quick, at_work
):
    async with queue:
        job = await quick.enqueue()
        await claim_as_the_dead(store, lease=15)
        await trio.sleep(5)
        async with at_work(trioq.Worker(queue, lease=15)):
            with trio.fail_after(15.5):
                assert await job.result() == 2
