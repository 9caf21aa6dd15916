"""Handler: whatever it does, its job ends with a reason, the worker lives, and no other job is harmed."""

from __future__ import annotations

import contextvars
import math

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq
from trioq import Reject, Retry, Snooze
from trioq._worker.run import WorkerRun


@pytest.fixture
def run(queue):
    """Run a handler once, beside another job; the record of its job afterwards."""

    async def run(fn, *args, **options):
        ran_beside = []

        @queue.task(name="beside")
        async def beside():
            ran_beside.append(1)

        task = queue.task(name="under test")(fn)
        async with queue:
            other = await beside.enqueue()
            job = await task.options(**options).enqueue(*args)
            await trioq.Worker(queue).run_until_idle()
            assert await other.state() == "completed"
            return await job.refresh()

    return run


async def test_a_handler_that_returns_completes_its_job(autojump_clock, run):
    async def add(a, b=2):
        return a + b

    job = await run(add, 1)
    assert (job.state, job.result, job.error) == ("completed", b"3", None)
    assert (job.run, job.failures, job.attempt) == (1, 0, 1)


@pytest.mark.parametrize(
    "error",
    [ValueError("oops"), SystemExit(3), GeneratorExit(), BaseException("base"), StopIteration(), StopAsyncIteration()],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_handler_raises_is_a_failure_of_its_job_alone(autojump_clock, run, error):
    async def fail():
        raise error

    job = await run(fail)
    assert (job.state, job.failures) == ("delayed", 1)
    assert type(error).__name__ in job.error


@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(3), BaseException("base")])
async def test_so_it_is_in_a_thread(mock_clock, run, error):
    def fail():
        raise error

    job = await run(fail)
    assert (job.state, job.failures) == ("delayed", 1)
    assert type(error).__name__ in job.error


async def test_the_last_retry_makes_a_dead_letter_whose_error_ends_with_type_and_message(autojump_clock, run):
    async def fail():
        raise ValueError("it is broken")

    job = await run(fail, max_retries=0)
    assert (job.state, job.failures) == ("failed", 1)
    assert job.error.splitlines()[-1] == "ValueError: it is broken"
    assert "Traceback" in job.error


async def test_a_failed_job_runs_again_and_success_clears_its_error(autojump_clock, queue):
    attempts = []

    @queue.task(backoff=trioq.Fixed(5))
    async def flaky():
        attempts.append((trio.current_time(), trioq.current_job().attempt, trioq.current_job().run))
        if len(attempts) < 3:
            raise ValueError

    async with queue:
        job = await flaky.enqueue()
        await trioq.Worker(queue).run_until_idle(delayed=True)
        record = await job.refresh()
    assert attempts == [(0, 1, 1), (pytest.approx(5, abs=1e-5), 2, 2), (pytest.approx(10, abs=1e-5), 3, 3)]
    assert (record.state, record.failures, record.error) == ("completed", 2, None)


async def test_a_job_runs_once_more_than_its_retries(autojump_clock, queue):
    ran = []

    @queue.task(max_retries=2, backoff=trioq.Fixed(0))
    async def fail():
        ran.append(1)
        raise ValueError

    async with queue:
        job = await fail.enqueue()
        await trioq.Worker(queue).run_until_idle(delayed=True)
        assert await job.state() == "failed"
    assert len(ran) == 3


async def test_a_timeout_stops_the_handler_and_counts_as_a_failure(autojump_clock, run):
    stopped = []

    async def nap():
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(trio.current_time())

    job = await run(nap, timeout=2.5)
    assert stopped == [2.5]
    assert (job.state, job.failures) == ("delayed", 1)
    assert "2.5 s" in job.error


def group(*errors):
    return BaseExceptionGroup("inner", [BaseExceptionGroup("innermost", errors)])


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("signal", "state", "counts", "wait"),
    [
        (Retry(), "delayed", (1, 0), 7),
        (Retry(after=60), "delayed", (1, 0), 60),
        (Snooze(60), "delayed", (0, 1), 60),
        (Reject("no use"), "failed", (1, 0), None),
    ],
)
async def test_signals_say_how_the_run_ended(autojump_clock, run, signal, state, counts, wait, wrapped):
    async def handler():
        raise group(signal) if wrapped else signal

    job = await run(handler, backoff=trioq.Fixed(7))
    assert (job.state, (job.failures, job.snoozes)) == (state, counts)
    if wait is not None:
        assert job.run_at - job.started_at == pytest.approx(wait, abs=1e-3)


async def test_a_signal_that_is_raised_in_a_nursery_counts(autojump_clock, run):
    async def handler():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep(1)
            raise Snooze(60)

    job = await run(handler)
    assert (job.state, job.snoozes, job.failures) == ("delayed", 1, 0)


@pytest.mark.parametrize("signal", [Retry(), Snooze(1)])
async def test_a_retry_or_snooze_beside_a_real_error_is_a_failure(autojump_clock, run, signal):
    async def handler():
        raise group(signal, ValueError("oops"))

    job = await run(handler, max_retries=0)
    assert (job.state, job.snoozes) == ("failed", 0)
    assert "oops" in job.error


async def test_a_reject_decides_whatever_is_beside_it(autojump_clock, run):
    async def handler():
        raise group(Snooze(1), ValueError("oops"), Reject("no use"))

    job = await run(handler)
    assert (job.state, job.failures) == ("failed", 1)
    assert "no use" in job.error


async def test_an_unknown_task_is_tried_again_for_a_later_deploy_may_know_it(autojump_clock, queue):
    async with queue:
        job = await queue.enqueue("not here", max_retries=1, backoff=trioq.Fixed(1))
        await trioq.Worker(queue).run_until_idle()
        record = await job.refresh()
        assert (record.state, record.failures) == ("delayed", 1)
        assert "not here" in record.error
        await trioq.Worker(queue).run_until_idle(delayed=True)
        assert await job.state() == "failed"


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"{}", b"[[1],{}]", b'[[],{"x":1}]', b"[" * 100_000, b'[["a"],{}]', b"null"]
)
async def test_a_payload_that_cannot_be_read_is_a_dead_letter_at_once(autojump_clock, queue, payload):
    ran = []

    @queue.task
    async def two(a: int, b: int):
        ran.append(1)

    async with queue:
        reply = await queue.backend.insert([trioq.Job(id="bad", queue="q", task="two", payload=payload)])
        assert reply.created == [True]
        await trioq.Worker(queue).run_until_idle()
        record = await queue.job("bad")
    assert (record.state, record.failures) == ("failed", 1)
    assert record.error
    assert ran == []


async def test_a_record_that_cannot_be_read_is_a_dead_letter(autojump_clock, queue):
    async with queue:
        await queue.backend.insert([trioq.Job(id="bad", queue="q", task="any", unreadable="its options are broken")])
        await trioq.Worker(queue).run_until_idle()
        record = await queue.job("bad")
    assert record.state == "failed"
    assert "its options are broken" in record.error


@pytest.mark.parametrize(
    "result", [object(), {1, 2}, (1, 2), b"bytes", {1: 2}, math.nan, [math.inf], "\ud800", {"a": {"b": (1,)}}]
)
async def test_a_result_that_json_would_lose_or_change_is_a_failure(autojump_clock, run, result):
    async def handler():
        return result

    job = await run(handler, max_retries=0)
    if job.state == "completed":
        assert type(trioq._core.payload.UNTYPED.decode_result(job.result)) is type(result)
    else:
        assert job.state == "failed"
        assert "result" in job.error


async def test_a_result_that_contains_itself_is_a_failure(autojump_clock, run):
    async def handler():
        result = []
        result.append(result)
        return result

    job = await run(handler, max_retries=0)
    assert job.state == "failed"


async def test_a_result_over_the_payload_limit_is_a_failure(autojump_clock, run):
    async def handler():
        return "x" * 2**20

    job = await run(handler, max_retries=0)
    assert job.state == "failed"
    assert "PayloadTooLarge" in job.error


async def test_an_error_text_is_cut(autojump_clock, run):
    async def handler():
        raise ValueError("x" * 2**20)

    job = await run(handler)
    assert len(job.error.encode()) <= 64 * 1024


async def test_an_error_with_lone_surrogates_is_stored(autojump_clock, run):
    async def handler():
        raise ValueError("\ud800")

    job = await run(handler)
    job.error.encode()


async def test_an_exception_whose_str_raises_is_a_failure(autojump_clock, run):
    class Awful(Exception):
        def __str__(self):
            raise RuntimeError("not even this")

    async def handler():
        raise Awful

    job = await run(handler)
    assert (job.state, job.failures) == ("delayed", 1)


async def test_a_result_that_came_in_spite_of_the_timeout_counts(autojump_clock, run):
    async def handler():
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        return "late but here"

    job = await run(handler, timeout=1)
    assert (job.state, job.result) == ("completed", b'"late but here"')


async def test_the_timeout_beats_what_is_raised_after_it(autojump_clock, run, caplog):
    async def handler():
        try:
            await trio.sleep_forever()
        finally:
            raise Reject("from the clean-up")

    job = await run(handler, timeout=1)
    assert (job.state, job.failures) == ("delayed", 1)
    assert "TimedOut" in job.error
    assert "from the clean-up" in caplog.text


async def test_a_handler_that_swallows_its_cancellation_and_raises_has_still_timed_out(autojump_clock, run):
    async def handler():
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise KeyError("lost") from None

    job = await run(handler, timeout=1)
    assert "TimedOut" in job.error


async def test_a_timeout_before_the_end_of_the_grace_is_a_timeout(autojump_clock, queue, at_work):
    @queue.task(timeout=5)
    async def nap():
        await trio.sleep_forever()

    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue), grace=10):
            await trio.sleep(1)
        record = await job.refresh()
        assert (record.state, record.failures) == ("delayed", 1)


async def test_the_end_of_the_grace_before_the_timeout_is_a_shutdown(autojump_clock, queue, at_work):
    stopped_at = []

    @queue.task(timeout=5)
    async def nap():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)
            stopped_at.append(trio.current_time())

    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue), grace=2):
            await trio.sleep(1)
        record = await job.refresh()
        assert (record.state, record.failures) == ("waiting", 0)
    assert stopped_at == [13]


async def test_a_timeout_that_came_first_is_not_taken_back_by_a_user_cancel(autojump_clock, queue, at_work, told):
    @queue.task(timeout=1)
    async def nap():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)

    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(5)
            assert await job.cancel("too late")
            await trio.sleep(10)
        assert await job.state() == "cancelled"
        assert [event.state for event in await told.all("job:lost")] == ["cancelled"]


async def test_a_user_cancel_stops_the_handler_at_once_and_is_no_failure(autojump_clock, queue, at_work, told):
    stopped = []

    @queue.task
    async def nap():
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(trio.current_time())

    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(5)
            assert await job.cancel("no longer needed")
            await wait_all_tasks_blocked()
            assert stopped == [5]
            record = await job.refresh()
            assert (record.state, record.failures, record.cancel_reason) == ("cancelled", 0, "no longer needed")
            await trio.sleep(30)
        assert await told.names("job:") == ["job:enqueued", "job:started", "job:cancelled"]


async def test_a_job_that_returns_although_cancelled_loses_the_race(autojump_clock, queue, at_work, told):
    @queue.task
    async def stubborn():
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        return "done"

    async with queue:
        job = await stubborn.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(1)
            assert await job.cancel()
            await trio.sleep(10)
        assert await job.state() == "cancelled"
        assert await told.names("job:") == ["job:enqueued", "job:started", "job:cancelled", "job:lost"]
        assert [event.state for event in await told.all("job:lost")] == ["cancelled"]


async def test_keyboard_interrupt_passes_on_and_its_job_is_released(autojump_clock, queue):
    @queue.task
    async def interrupted():
        await trio.sleep(1)
        raise KeyboardInterrupt

    @queue.task
    async def nap():
        await trio.sleep(100)

    async with queue:
        jobs = [await interrupted.enqueue(), await nap.enqueue()]
        with pytest.raises(KeyboardInterrupt):
            await trioq.Worker(queue).start()
        records = [await job.refresh() for job in jobs]
    assert [(job.state, job.failures, job.crashes) for job in records] == [("waiting", 0, 0)] * 2


async def test_keyboard_interrupt_is_found_in_a_group(autojump_clock, queue):
    @queue.task
    async def interrupted():
        raise group(ValueError(), KeyboardInterrupt())

    async with queue:
        job = await interrupted.enqueue()
        with pytest.raises(KeyboardInterrupt):
            await trioq.Worker(queue).start()
        assert await job.state() == "waiting"


async def test_context_variables_do_not_leak_from_job_to_job(autojump_clock, queue):
    variable = contextvars.ContextVar("variable", default="untouched")
    seen = []

    @queue.task
    async def touch():
        seen.append(variable.get())
        variable.set("touched")

    async with queue:
        await queue.enqueue_many(touch.bind() for _ in range(5))
        await trioq.Worker(queue, concurrency=1).run_until_idle()
        await touch.enqueue()
        await trioq.Worker(queue).run_until_idle()
    assert seen == ["untouched"] * 6
    assert variable.get() == "untouched"


async def test_a_handler_knows_its_job(autojump_clock, queue):
    seen = []

    @queue.task(name="look")
    async def look():
        job = trioq.current_job()
        seen.append((job.id, job.queue, job.task, job.run, job.attempt, job.metadata, job.resources))

    async with queue:
        await look.options(id="me", metadata={"a": [1]}).enqueue()
        await trioq.Worker(queue).run_until_idle()
    assert seen == [("me", "q", "look", 1, 1, {"a": [1]}, None)]


async def test_each_handler_knows_its_own_job(autojump_clock, queue):
    seen = {}

    @queue.task
    async def look(name):
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(note, name)

    async def note(name):
        seen[name] = trioq.current_job().id

    async with queue:
        for name in "abc":
            await look.options(id=name).enqueue(name)
        await trioq.Worker(queue).run_until_idle()
    assert seen == {"a": "a", "b": "b", "c": "c"}


async def test_outside_a_handler_there_is_no_current_job(autojump_clock):
    with pytest.raises(trioq.NoCurrentJob):
        trioq.current_job()


async def test_progress_is_saved_with_the_next_renewal(autojump_clock, queue, at_work):
    @queue.task
    async def report():
        trioq.current_job().progress(0.25, note="begun")
        await trio.sleep(1)
        trioq.current_job().progress(0.5, note="half")
        await trio.sleep(100)

    async with queue:
        job = await report.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(5)
            assert (await job.refresh()).progress == {"fraction": 0.5, "note": "half"}


async def test_the_last_progress_is_saved_when_the_job_ends(autojump_clock, run):
    async def report():
        for part in range(5):
            trioq.current_job().progress(part / 4)

    job = await run(report)
    assert job.progress == {"fraction": 1.0}


async def test_many_reports_at_once_make_one_event(autojump_clock, queue, told):
    @queue.task
    async def report():
        for part in range(100):
            trioq.current_job().progress(part)
        await trio.sleep(1)

    async with queue:
        await report.enqueue()
        await trioq.Worker(queue).run_until_idle()
    assert [event.progress for event in await told.all("job:progress")] == [{"fraction": 99}]


@pytest.mark.parametrize("details", [{"x": object()}, {"x": math.nan}, {"x": (1, 2)}, {"x": "\ud800"}])
async def test_progress_that_cannot_be_stored_is_an_error_where_it_is_reported(autojump_clock, run, details):
    async def report():
        with pytest.raises(TypeError):
            trioq.current_job().progress(0.5, **details)
        return "went on"

    job = await run(report)
    assert (job.state, job.result) == ("completed", b'"went on"')
    assert job.progress is None


async def test_progress_is_saved_as_it_was_when_reported(autojump_clock, run):
    async def report():
        seen = [1]
        trioq.current_job().progress(0.5, seen=seen)
        seen.append(2)

    job = await run(report)
    assert job.progress == {"fraction": 0.5, "seen": [1]}


async def test_a_shutdown_of_a_nursery_in_a_handler_is_not_logged_as_an_error(autojump_clock, queue, at_work, caplog):
    @queue.task
    async def nap():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)

    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(1)
        assert await job.state() == "waiting"
    assert "raised while it was stopped" not in caplog.text


async def test_cleaning_up_after_a_stop_may_take_time(autojump_clock, queue, at_work):
    @queue.task
    async def nap():
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(3, shield=True):
                await trio.sleep_forever()

    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(1)
        assert trio.current_time() == 4
        assert await job.state() == "waiting"


async def test_a_zero_timeout_stops_the_handler_at_its_first_checkpoint(autojump_clock, run):
    async def nap():
        await trio.lowlevel.checkpoint()

    job = await run(nap, timeout=0)
    assert "TimedOut" in job.error


@pytest.mark.parametrize("kind", ["raised", "timed out", "rejected", "retry asked", "unknown", "bad arguments"])
async def test_every_failure_is_one_record_in_the_log(autojump_clock, queue, caplog, kind):
    @queue.task(name="raised", max_retries=0)
    async def fail():
        raise ValueError("boom")

    @queue.task(name="timed out", max_retries=0, timeout=1)
    async def sleep():
        await trio.sleep(10)

    @queue.task(name="rejected")
    async def reject():
        raise Reject("boom")

    @queue.task(name="retry asked", max_retries=0)
    async def retry():
        raise Retry

    async with queue:
        job = await queue.enqueue(kind, [] if kind in queue.tasks else ["unwanted"], max_retries=0)
        if kind == "bad arguments":
            queue.task(name=kind)(lambda: None)
        await trioq.Worker(queue).run_until_idle()
        assert await job.state() == "failed"
    [record] = [record for record in caplog.records if "failed in attempt 1 of 1: " in record.message]
    assert job.id in record.message


class Unshowable(Exception):
    @property
    def __notes__(self):
        raise ZeroDivisionError


@pytest.mark.parametrize("error", [SyntaxError("m", ("f", 1, "no number", "text")), Unshowable()])
async def test_an_exception_that_cannot_be_shown_fails_its_job_alone(autojump_clock, queue, error):
    @queue.task(max_retries=0)
    async def strange():
        raise error

    @queue.task(max_retries=0)
    async def fine():
        await trio.sleep(1)

    async with queue:
        jobs = [await strange.enqueue(), await fine.enqueue()]
        worker = trioq.Worker(queue)
        await worker.run_until_idle()
        assert [await job.state() for job in jobs] == ["failed", "completed"]


async def test_an_error_that_nothing_can_catch_stops_the_worker_and_releases_its_jobs(
    autojump_clock, queue, monkeypatch
):
    end = WorkerRun.end

    def fail_once(run, active, outcome):
        if active.job.task == "corrupt" and not active.ended:
            active.ended = True
            raise ZeroDivisionError
        end(run, active, outcome)

    @queue.task(max_retries=0)
    async def corrupt(): ...

    @queue.task(max_retries=0)
    async def fine():
        await trio.sleep(10)

    monkeypatch.setattr(WorkerRun, "end", fail_once)
    async with queue:
        await fine.enqueue()
        with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
            async with trio.open_nursery() as nursery:
                await nursery.start(trioq.Worker(queue).start)
                await trio.sleep(1)
                await queue.enqueue_many([corrupt.bind(), fine.bind()])
                await trio.sleep(100)
        records = [job async for job in queue.jobs(task="fine")]
        assert [(record.state, record.failures) for record in records] == [("waiting", 0)] * 2
