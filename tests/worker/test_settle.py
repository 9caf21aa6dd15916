"""Settle: outcomes in batches, each judged alone, and nothing finished is lost."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq
from trioq import BackendError
from trioq._core.errors import refusal
from trioq.lifecycle import Cancel, step


async def cancel_elsewhere(store, job):
    """Cancel it as another process does: this one learns of it from its next reply."""
    found = await store.inner.get("q", [job.id])
    await store.inner.settle([step(found.jobs[0], Cancel("elsewhere"), found.now)])


async def test_what_ends_during_one_write_goes_together_in_the_next(autojump_clock, store, queue, at_work):
    @queue.task
    async def nap(seconds):
        await trio.sleep(seconds)

    store.late["settle"] = 10
    async with queue:
        await queue.enqueue_many(nap.bind(1 + number / 100) for number in range(20))
        async with at_work(trioq.Worker(queue, concurrency=20)):
            await trio.sleep(30)
            assert store.sizes["settle"] == [1, 19]
            assert (await queue.counts())["completed"] == 20


async def test_large_outcomes_do_not_all_go_in_one_write(autojump_clock, store, queue):
    sizes = []
    settle = store.inner.settle

    async def weigh(changes):
        sizes.append(sum(len(change.fields["result"]) for change in changes))
        return await settle(changes)

    @queue.task
    async def large():
        return "x" * 1_000_000

    store.inner.settle = weigh
    async with queue:
        await queue.enqueue_many(large.bind() for _ in range(10))
        await trioq.Worker(queue, concurrency=20).run_until_idle()
        assert (await queue.counts())["completed"] == 10
    assert sum(sizes) > 10_000_000
    assert max(sizes) <= 4 * 2**20, "what takes longer than a write may is never done, however often it is tried"


async def test_many_outcomes_do_not_all_go_in_one_write(autojump_clock, store, queue):
    numbers = []
    settle = store.inner.settle

    async def count(changes):
        numbers.append(len(changes))
        return await settle(changes)

    @queue.task
    async def at_the_same_time():
        await trio.sleep(1)

    store.inner.settle = count
    async with queue:
        await queue.enqueue_many(at_the_same_time.bind() for _ in range(1_500))
        await trioq.Worker(queue, concurrency=2_000).run_until_idle()
        assert (await queue.counts())["completed"] == 1_500
    assert max(numbers) == 500


async def test_a_saturated_worker_needs_few_calls_a_job(autojump_clock, store, queue):
    @queue.task
    async def quick():
        pass

    async with queue:
        await queue.enqueue_many(quick.bind() for _ in range(1000))
        before = len(store.calls)
        await trioq.Worker(queue, concurrency=100).run_until_idle()
        assert (await queue.counts())["completed"] == 1000
    assert len(store.calls) - before <= 100


async def test_an_item_that_the_store_refuses_fails_alone_and_is_a_dead_letter(
    autojump_clock, store, queue, at_work, told
):
    @queue.task
    async def answer(number):
        await trio.sleep(1)
        return number

    store.refused = lambda change: change.fields.get("result") == b"3" and BackendError("it does not like \ud800 3")
    async with queue:
        jobs = await queue.enqueue_many(answer.bind(number) for number in range(6))
        async with at_work(trioq.Worker(queue)) as worker:
            await trio.sleep(2)
            records = [await job.refresh() for job in jobs]
            assert [job.state for job in records] == ["failed" if n == 3 else "completed" for n in range(6)]
            assert "BackendError: it does not like ? 3" in records[3].error
            assert worker.statistics().unsettled == 0
        assert [event.job.id for event in await told.all("job:failed")] == [jobs[3].id]


async def test_an_item_that_is_refused_twice_is_left_to_its_lease(autojump_clock, store, queue, at_work, caplog):
    ran = []

    @queue.task(name="note")
    async def note():
        ran.append(1)

    bad = []
    store.refused = lambda change: change.id in bad and change.state.final and BackendError("never")
    async with queue:
        for name in "abc":
            bad.append(name)
            await note.options(id=name).enqueue()
        async with at_work(trioq.Worker(queue, concurrency=1)) as worker:
            await trio.sleep(1)
            assert len(ran) == 3
            assert worker.statistics().unsettled == 0
            good = await note.enqueue()
            with trio.fail_after(1):
                await good.result()
            assert (await queue.job("a")).state == "active"
            await trio.sleep(20)  # the lease ran out, and a worker, here the same one, takes it for crashed
            assert (await queue.job("a")).crashes == 1
    assert "left to its lease" in caplog.text


async def test_a_refusal_that_is_not_about_a_job_ends_none(autojump_clock, store, queue, at_work, told):
    """As by a trigger of the owner's that fails for three seconds."""

    @queue.task(max_retries=0)
    async def answer(number):
        await trio.sleep(1)
        return number

    store.refused = lambda change: trio.current_time() < 4 and refusal("the trigger fails")
    async with queue:
        jobs = await queue.enqueue_many(answer.bind(number) for number in range(6))
        async with at_work(trioq.Worker(queue)):
            assert [await job.result() for job in jobs] == list(range(6))
        assert {(job.run, job.crashes) for job in [await job.refresh() for job in jobs]} == {(1, 0)}
    assert not await told.all("job:failed")


async def test_a_job_that_alone_is_refused_holds_up_no_other_and_is_left_to_its_lease(
    autojump_clock, store, queue, at_work, caplog
):
    ran = []

    @queue.task
    async def note():
        ran.append(trio.current_time())

    store.refused = lambda change: change.id == "bad" and change.state.final and refusal("not this row")
    async with queue:
        bad = await note.options(id="bad").enqueue()
        good = [await note.enqueue() for _ in range(5)]
        async with at_work(trioq.Worker(queue, lease=4)):
            with trio.fail_after(0.1):
                for job in good:
                    await job.result()
                await (await note.enqueue()).result()
            await trio.sleep(16)
            record = await bad.refresh()
            assert (record.state, record.crashes > 0, record.failures) == ("active", True, 0)
    assert "which is left to its lease: not this row" in caplog.text


async def test_a_stale_outcome_is_lost_with_the_state_that_won_and_nothing_is_completed(
    autojump_clock, faulty, store, queue, at_work, told
):
    @queue.task
    async def nap():
        await trio.sleep(2)

    elsewhere = trioq.Queue("q", faulty(store.inner))
    store.deaf = True
    async with queue, elsewhere:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue, lease=100)) as worker:
            await trio.sleep(1)
            await cancel_elsewhere(store, job)
            await trio.sleep(2)
            assert worker.statistics().lost == 1
            assert worker.statistics().completed == 0
        assert await job.state() == "cancelled"
        [lost] = await told.all("job:lost")
        assert (lost.state, lost.run, lost.job.id) == ("cancelled", 1, job.id)
        assert await told.names("job:") == ["job:enqueued", "job:started", "job:lost"]


async def test_a_job_that_ended_is_settled_although_the_worker_is_cancelled_then(autojump_clock, store, queue):
    """At each point in time at which it could be cancelled."""

    @queue.task
    async def quick():
        await trio.sleep(1)

    store.late = {"settle": 1, "claim": 0.5}
    async with queue:
        for step_at in range(1, 40):
            job = await quick.enqueue()
            with trio.move_on_after(step_at / 10 + 0.05):
                await trioq.Worker(queue).start()
            record = await job.refresh()
            assert record.state in ("waiting", "completed"), step_at
            assert (record.failures, record.crashes) == (0, 0)
            finished = step_at / 10 + 0.05 > 1.5
            assert (record.state == "completed") == finished, step_at
            await job.cancel()


async def test_a_job_is_renewed_until_its_outcome_is_stored(autojump_clock, faulty, store, queue, at_work):
    @queue.task
    async def quick():
        pass

    store.fail("settle", times=20)
    async with queue, faulty(store.inner) as other:
        job = await quick.enqueue()
        async with at_work(trioq.Worker(queue, lease=4)), at_work(trioq.Worker(trioq.Queue("z", other), lease=4)):
            await trio.sleep(8)
            assert await job.state() == "active"
            await trio.sleep(30)
        assert ((await job.refresh()).run, await job.state()) == (1, "completed")


async def test_a_job_that_runs_again_before_its_settle_was_answered_is_renewed(autojump_clock, store, queue, at_work):
    runs = []

    @queue.task(backoff=trioq.Fixed(0))
    async def flaky():
        runs.append(trioq.current_job().run)
        if len(runs) == 1:
            raise ValueError
        await trio.sleep(100)

    store.late["settle"] = 1
    async with queue:
        job = await flaky.enqueue()
        async with at_work(trioq.Worker(queue)) as worker:
            await trio.sleep(60)
            record = await job.refresh()
            assert (record.state, record.run, record.crashes) == ("active", 2, 0)
            assert worker.statistics().running == 1
            await trio.sleep(60)
            assert await job.state() == "completed"
    assert runs == [1, 2]


async def test_an_expired_job_whose_expiry_the_stores_clock_took_back_is_released(
    autojump_clock, store, queue, at_work
):
    @queue.task
    async def nap(seconds):
        await trio.sleep(seconds)

    async with queue:
        await nap.enqueue(2)
        store.late["settle"] = 5
        async with at_work(trioq.Worker(queue, concurrency=1)):
            await trio.sleep(0.5)
            job = await nap.options(ttl=1).enqueue(0)
            await trio.sleep(2.5)  # found expired when the slot was free, and waiting to be settled
            store.behind = 6
            await trio.sleep(30)
            record = await job.refresh()
            assert (record.state, record.run, record.crashes) == ("completed", 2, 0)


async def test_each_outcome_is_told_once_and_only_after_it_is_stored(autojump_clock, store, queue, at_work, told):
    @queue.task
    async def quick():
        pass

    store.late["settle"] = 2
    async with queue:
        await quick.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(1)
            assert await told.names("job:") == ["job:enqueued", "job:started"]
            await trio.sleep(2)
            assert await told.names("job:") == ["job:enqueued", "job:started", "job:completed"]


async def test_exactly_one_transition_is_written_for_each_outcome(autojump_clock, store, queue):
    @queue.task(max_retries=0)
    async def end(kind):
        if kind == "fail":
            raise ValueError
        if kind == "snooze":
            raise trioq.Snooze(1000)
        if kind == "reject":
            raise trioq.Reject("no")

    async with queue:
        jobs = await queue.enqueue_many(end.bind(kind) for kind in ("return", "fail", "snooze", "reject"))
        await trioq.Worker(queue).run_until_idle()
        assert sum(store.sizes["settle"]) == 4
        assert [(await job.refresh()).version for job in jobs] == [2] * 4


@pytest.mark.parametrize("kind", ["settle", "get"])
async def test_a_worker_that_loses_a_race_while_the_store_fails_goes_on(
    autojump_clock, faulty, store, queue, at_work, kind
):
    @queue.task
    async def nap():
        await trio.sleep(2)

    store.deaf = True
    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue, lease=100)):
            await trio.sleep(1)
            await cancel_elsewhere(store, job)
            store.fail(kind, times=3)
            await trio.sleep(30)
            job = await nap.enqueue()
            await trio.sleep(10)
            assert (await store.inner.get("q", [job.id])).jobs[0].state == "completed"


async def test_the_wait_for_a_slow_settle_keeps_no_slot(autojump_clock, store, queue, at_work):
    @queue.task
    async def quick():
        pass

    slots = trio.CapacityLimiter(3)
    store.late["settle"] = 5
    async with queue:
        await quick.enqueue()
        async with at_work(trioq.Worker(queue, concurrency=slots)):
            await wait_all_tasks_blocked()
            assert slots.borrowed_tokens == 0


async def test_a_value_that_no_step_can_use_ends_its_own_job_and_nothing_else(autojump_clock, queue):
    class Endless(trioq.Retry):
        def __init__(self):
            super().__init__()
            self.after = "soon"  # past what the constructor lets through

    @queue.task
    async def strange():
        raise Endless

    @queue.task
    async def fine():
        return 1

    async with queue:
        jobs = [await strange.enqueue(), await fine.enqueue()]
        await trioq.Worker(queue).run_until_idle()
        assert [await job.state() for job in jobs] == ["failed", "completed"]


async def test_a_lost_job_is_told_of_though_the_time_to_ask_who_won_is_over(
    autojump_clock, faulty, store, queue, at_work, told
):
    @queue.task
    async def nap():
        with trio.CancelScope(shield=True):
            await trio.sleep(2)

    async def never(*_):
        await trio.sleep_forever()

    store.deaf = True
    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue, lease=100)):
            await trio.sleep(1)
            await cancel_elsewhere(store, job)
            store.get = never
    [lost] = await told.all("job:lost")
    assert (lost.job.id, lost.state) == (job.id, "unknown")
