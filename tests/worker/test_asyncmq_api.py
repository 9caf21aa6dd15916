"""AsyncMQ's functions: the same pipeline for one queue, and the same way for one claimed job."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq
from trioq import _run_with_limits, handle_job, process_job
from trioq._core import wire
from trioq.lifecycle import IllegalStep


@pytest.fixture
def ran():
    return []


@pytest.fixture
def note(queue, ran):
    @queue.task
    async def note(what="note", seconds=0.0):
        ran.append((trio.current_time(), what))
        await trio.sleep(seconds)
        return what

    return note


async def claimed(queue, lease=15):
    [job] = (await queue.backend.claim([queue.name], 1, "ada-1", lease, True)).jobs
    return job


async def test_process_job_runs_a_queue_within_the_callers_limiter_until_cancelled(autojump_clock, queue, note):
    limiter = trio.CapacityLimiter(2)
    async with queue:
        await queue.enqueue_many(note.bind(seconds=1) for _ in range(6))
        with trio.move_on_after(2.5):
            await process_job("q", limiter)
        counts = await queue.counts()
    assert (counts["completed"], counts["waiting"]) == (4, 2)
    assert limiter.borrowed_tokens == 0


async def test_process_job_keeps_the_callers_rate(autojump_clock, queue, note, ran):
    async with queue:
        await queue.enqueue_many(note.bind() for _ in range(6))
        with trio.move_on_after(2.5):
            await process_job("q", trio.CapacityLimiter(10), trioq.RateLimiter(2, 1))
    assert [at for at, _ in ran] == [0, 0, 1, 1, 2, 2]


async def test_process_job_can_take_another_store(autojump_clock, faulty, queue, note, ran):
    other = faulty()
    elsewhere = queue.copy_on(other)
    async with queue, elsewhere:
        await note.enqueue("here")
        await elsewhere.backend.insert([trioq.Job(id="there", queue="q", task="note")])
        with trio.move_on_after(1):
            await process_job("q", trio.CapacityLimiter(10), backend=other)
        assert (await elsewhere.job("there")).state == "completed"
        assert (await queue.counts())["waiting"] == 1


async def test_an_unknown_queue_is_an_error_that_names_the_others(autojump_clock, queue):
    other = trioq.Queue("other", "memory:")
    for call in (process_job("nope", trio.CapacityLimiter(1)), handle_job("nope", b"{}")):
        with pytest.raises(trioq.UnknownQueue) as caught:
            await call
        assert {"q", other.name} <= set(caught.value.known)


async def test_a_name_means_the_newest_queue_but_rather_one_on_the_given_backend(autojump_clock, faulty):
    ran = []
    older, newer = trioq.Queue("twice", faulty()), trioq.Queue("twice", faulty())
    older.task(name="note")(_noting(ran, "older"))
    newer.task(name="note")(_noting(ran, "newer"))
    async with older, newer:
        for queue in (older, newer):
            await queue.tasks["note"].enqueue()
            await handle_job("twice", await claimed(queue), None if queue is newer else older.backend)
    assert ran == ["older", "newer"]


def _noting(ran, what):
    async def note():
        ran.append(what)

    return note


@pytest.mark.parametrize("form", ["job", "bytes", "mapping"])
async def test_handle_job_takes_a_job_or_its_wire_form(autojump_clock, queue, note, form):
    async with queue:
        handle = await note.enqueue("hello")
        job = await claimed(queue)
        data = wire.encode(job)
        raw = {"job": job, "bytes": data, "mapping": wire._decode(data)}[form]
        await handle_job("q", raw)
        assert await handle.result() == "hello"


async def test_handle_job_settles_failures_too(autojump_clock, queue, told):
    @queue.task(backoff=trioq.Fixed(60))
    async def fail():
        raise ValueError("oops")

    async with queue:
        handle = await fail.enqueue()
        await handle_job("q", await claimed(queue))
        job = await handle.refresh()
        assert (job.state, job.failures) == ("delayed", 1)
        assert await told.names("job:") == ["job:enqueued", "job:started", "job:retrying"]


async def test_handle_job_renews_the_lease_itself(autojump_clock, queue, note, at_work):
    async with queue:
        handle = await note.enqueue(seconds=300)
        job = await claimed(queue)
        async with at_work(trioq.Worker(trioq.Queue("other", queue.backend))):  # it sweeps
            await handle_job("q", job)
        record = await handle.refresh()
        assert (record.state, record.run, record.crashes) == ("completed", 1, 0)


async def test_handle_job_cancelled_releases_the_job_and_raises(autojump_clock, queue, note):
    async with queue:
        handle = await note.enqueue(seconds=300)
        with trio.move_on_after(5) as scope:
            await handle_job("q", await claimed(queue))
        assert scope.cancelled_caught
        record = await handle.refresh()
        assert (record.state, record.failures) == ("waiting", 0)
        assert trio.current_time() == 5


async def test_handle_job_refuses_a_job_that_is_not_claimed(autojump_clock, queue, note, ran):
    async with queue:
        handle = await note.enqueue()
        with pytest.raises(IllegalStep):
            await handle_job("q", await handle.refresh())
        assert await handle.state() == "waiting"
    assert ran == []


async def test_handle_job_refuses_bytes_that_are_no_job(autojump_clock, queue):
    with pytest.raises(ValueError, match="not a job record"):
        await handle_job("q", b"nonsense")


async def test_handle_job_refuses_a_job_of_another_queue(autojump_clock, store, queue, note):
    other = trioq.Queue("other", store)
    async with other:
        await other.enqueue("note")
        job = await claimed(other)
        with pytest.raises(ValueError, match="other"):
            await handle_job("q", job)


async def test_handle_job_expires_a_job_that_is_past_its_ttl(autojump_clock, queue, note, ran):
    async with queue:
        handle = await note.options(ttl=5).enqueue()
        job = await claimed(queue)
        await trio.sleep(6)
        await handle_job("q", job)
        assert await handle.state() == "expired"
    assert ran == []


async def test_handle_job_releases_a_job_that_is_not_due(autojump_clock, queue, note, ran):
    async with queue:
        handle = await note.enqueue()
        job = await claimed(queue)
        await handle_job("q", job.having({"run_at": job.run_at + 60}))
        assert await handle.state() in ("waiting", "delayed")
    assert ran == []


async def test_handle_job_does_not_run_a_job_that_was_cancelled_meanwhile(autojump_clock, queue, note, ran, told):
    async with queue:
        handle = await note.enqueue()
        job = await claimed(queue)
        assert await handle.cancel()
        await handle_job("q", job)
        assert await handle.state() == "cancelled"
        assert await told.names("job:") == ["job:enqueued", "job:cancelled"]
    assert ran == []


async def test_handle_job_does_not_run_a_job_that_was_reclaimed(autojump_clock, queue, note, ran, told):
    async with queue:
        handle = await note.enqueue()
        job = await claimed(queue, lease=1)
        await trio.sleep(2)
        await queue.backend.settle([trioq.lifecycle.step(job, trioq.lifecycle.Reclaim(), job.lease_until)])
        await handle_job("q", job)
        assert await handle.state() == "waiting"
        assert await told.names("job:lost") == ["job:lost"]
    assert ran == []


async def test_handle_job_does_not_run_a_job_that_another_claim_has_taken(autojump_clock, queue, note, ran, told):
    async with queue:
        handle = await note.enqueue()
        job = await claimed(queue, lease=1)
        await trio.sleep(2)
        await queue.backend.settle([trioq.lifecycle.step(job, trioq.lifecycle.Reclaim(), job.lease_until)])
        again = await claimed(queue)
        await handle_job("q", job)
        assert ran == []
        await handle_job("q", again)
        assert await handle.state() == "completed"
        assert await told.names("job:lost") == ["job:lost"]
    assert len(ran) == 1


async def test_handle_job_leaves_no_current_job_behind(autojump_clock, queue, note):
    async with queue:
        await note.enqueue()
        await handle_job("q", await claimed(queue))
        with pytest.raises(trioq.NoCurrentJob):
            trioq.current_job()


async def test_run_with_limits_waits_for_a_slot_and_a_token(autojump_clock, queue, note, ran):
    limiter, rate = trio.CapacityLimiter(1), trioq.RateLimiter(1, 10)
    async with queue:
        for _ in range(3):
            await note.enqueue(seconds=2)
        jobs = [await claimed(queue, lease=100) for _ in range(3)]
        async with trio.open_nursery() as nursery:
            for job in jobs[:2]:
                nursery.start_soon(_run_with_limits, "q", job, limiter)
            await wait_all_tasks_blocked()
            assert limiter.borrowed_tokens == 1
        assert [at for at, _ in ran] == [0, 2]
        await rate.acquire()
        await _run_with_limits("q", jobs[2], limiter, rate)
        assert ran[-1][0] == pytest.approx(14)


async def test_run_with_limits_keeps_the_token_of_a_job_that_did_not_start(autojump_clock, queue, note, ran):
    rate = trioq.RateLimiter(1, 1000)
    async with queue:
        await note.options(ttl=1).enqueue("late")
        await note.enqueue("in time")
        late, in_time = [await claimed(queue, lease=100) for _ in range(2)]
        await trio.sleep(2)
        await _run_with_limits("q", late, trio.CapacityLimiter(1), rate)
        await _run_with_limits("q", in_time, trio.CapacityLimiter(1), rate)
    assert [what for _, what in ran] == ["in time"]
    assert trio.current_time() == 2


async def test_keyboard_interrupt_leaves_handle_job(autojump_clock, queue):
    @queue.task
    async def interrupted():
        raise KeyboardInterrupt

    async with queue:
        handle = await interrupted.enqueue()
        with pytest.raises(KeyboardInterrupt):
            await handle_job("q", await claimed(queue))
        assert await handle.state() == "waiting"


async def test_run_with_limits_cancelled_in_the_line_for_a_slot_releases_its_job(autojump_clock, store, queue):
    @queue.task
    async def work(): ...

    async with queue:
        job = await work.enqueue()
        [claimed] = (await store.claim(["q"], 1, "me", 4, True)).jobs
        slots = trio.CapacityLimiter(1)
        async with slots:
            with trio.move_on_after(20):  # many leases: it is renewed meanwhile
                await trioq._run_with_limits("q", claimed, slots)
        record = await job.refresh()
        assert (record.state, record.crashes, record.failures) == ("waiting", 0, 0)
