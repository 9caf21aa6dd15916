"""Events: which are told of what, with which fields, to whom, and what a bad subscriber can't do."""

from __future__ import annotations

import time

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq
from trioq import event_emitter
from trioq.events import QueuePaused
from trioq.lifecycle import Reclaim, step

NOW = 1_800_000_000.0


def named(events, name):
    return [event for event in events if event.name == name]


@pytest.fixture
def subscribed():
    """Subscribe callbacks that are unsubscribed at the end of the test."""
    unsubscribe = []

    def subscribed(pattern, callback, **options):
        unsubscribe.append(event_emitter.on(pattern, callback, **options))
        return unsubscribe[-1]

    yield subscribed
    for each in unsubscribe:
        each()


@pytest.fixture
def end(queue):
    """A task that takes a second, and ends as it is told."""

    @queue.task(max_retries=1, backoff=trioq.Fixed(30))
    async def end(how="well"):
        await trio.sleep(1)
        if how == "badly":
            raise ValueError("it went wrong")
        if how == "snooze":
            raise trioq.Snooze(60)
        if how == "report":
            trioq.current_job().progress(0.5, note="half")
            await trio.sleep(1)

    return end


async def test_the_life_of_a_job_that_completes(autojump_clock, queue, end, told):
    async with queue:
        job = await end.enqueue()
        await trioq.Worker(queue, name="fred").run_until_idle()
    await wait_all_tasks_blocked()
    enqueued, started, completed = [event for event in told if event.name.startswith("job:")]
    assert (enqueued.name, started.name, completed.name) == ("job:enqueued", "job:started", "job:completed")
    assert (enqueued.at, started.at, completed.at) == (NOW, NOW, NOW + 1)
    assert (enqueued.worker, enqueued.run, enqueued.attempt) == (None, 0, 1)
    assert started.worker.startswith("fred:")
    assert (completed.worker, completed.run, completed.attempt) == (started.worker, 1, 1)
    assert completed.duration == pytest.approx(1)
    assert [event.job.state for event in (enqueued, started, completed)] == ["waiting", "active", "completed"]
    assert all((event.queue, event.job.id) == ("q", job.id) for event in (enqueued, started, completed))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        completed.at = 0


async def test_a_retry_and_a_failure(autojump_clock, queue, end, told):
    async with queue:
        await end.enqueue("badly")
        await trioq.Worker(queue).run_until_idle(delayed=True)
    [retrying] = named(told, "job:retrying")
    [failed] = named(told, "job:failed")
    assert (retrying.attempt, retrying.run, retrying.delay) == (1, 1, pytest.approx(30))
    assert retrying.error.endswith("ValueError: it went wrong")
    assert (failed.attempt, failed.run, failed.duration) == (2, 2, pytest.approx(1))
    assert failed.error.endswith("ValueError: it went wrong")
    assert failed.job.state == "failed"


async def test_a_snooze(autojump_clock, queue, end, told):
    async with queue:
        await end.enqueue("snooze")
        await trioq.Worker(queue).run_until_idle()
    [snoozed] = named(told, "job:snoozed")
    assert (snoozed.attempt, snoozed.delay, snoozed.job.state) == (1, pytest.approx(60), "delayed")


async def test_progress(autojump_clock, queue, end, told):
    async with queue:
        await end.enqueue("report")
        await trioq.Worker(queue).run_until_idle()
    [progress] = named(told, "job:progress")
    assert progress.progress == {"fraction": 0.5, "note": "half"}
    assert progress.job.progress == progress.progress
    assert (progress.run, progress.at) == (1, NOW + 1)


async def test_cancel_expiry_and_requeue(autojump_clock, queue, end, told):
    async with queue:
        job = await end.enqueue()
        await job.cancel("changed my mind")
        await queue.requeue(job.id)
        await job.cancel()
        await end.options(ttl=1).enqueue()
        await trio.sleep(2)
        await trioq.Worker(queue).run_until_idle()
    first, second = named(told, "job:cancelled")
    assert (first.reason, second.reason) == ("changed my mind", "")
    assert [event.job.state for event in named(told, "job:requeued")] == ["waiting"]
    assert [event.job.state for event in named(told, "job:expired")] == ["expired"]


async def test_release_and_what_the_worker_tells_of_itself(autojump_clock, queue, end, at_work, told):
    async with queue:
        await end.enqueue()
        async with at_work(trioq.Worker(queue, name="fred"), grace=0.25):
            await trio.sleep(0.5)
    [released] = named(told, "job:released")
    assert (released.job.state, released.attempt, released.run) == ("waiting", 1, 1)
    workers = [event for event in told if event.name.startswith("worker:")]
    assert [event.name for event in workers] == ["worker:started", "worker:draining", "worker:stopped"]
    assert {event.worker for event in workers} == {released.worker}
    assert {(event.queue, event.queues) for event in workers} == {(None, ("q",))}
    assert workers[1].grace == 0.25
    assert [event.at - NOW for event in workers] == [0, 0.5, 0.75]


async def test_a_stalled_job(autojump_clock, queue, end, at_work, told):
    async with queue:
        await end.enqueue()
        await queue.backend.claim(["q"], 1, "dead:1", 5, True)
        async with at_work(trioq.Worker(queue, lease=4)):
            await trio.sleep(10)
    [stalled] = named(told, "job:stalled")
    assert (stalled.job.crashes, stalled.worker, stalled.run) == (1, "dead:1", 1)


async def test_a_lost_job(autojump_clock, backend, queue, end, at_work, told):
    async with queue:
        job = await end.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(0.5)
            record = await job.refresh()
            await queue.pause()
            await backend.settle([step(record, Reclaim(), record.lease_until)])
            await trio.sleep(5)
    [lost] = named(told, "job:lost")
    assert (lost.state, lost.run, lost.job.id) == ("waiting", 1, job.id)
    assert not named(told, "job:completed")


async def test_pause_and_resume(autojump_clock, queue, told):
    async with queue:
        await queue.pause()
        await queue.resume()
    await wait_all_tasks_blocked()
    assert [(event.name, event.queue, event.at) for event in told] == [
        ("queue:paused", "q", NOW),
        ("queue:resumed", "q", NOW),
    ]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("job:completed", 1), ("job:*", 3), ("*", 5), ("worker:*", 2), ("job:c*", 1), ("backend:*", 0)],
)
async def test_patterns_choose_by_name(autojump_clock, queue, end, subscribed, pattern, count):
    seen = []
    subscribed(pattern, seen.append)
    async with queue, event_emitter.subscribe(pattern) as events:
        await end.enqueue()
        await trioq.Worker(queue).run_until_idle()
        await wait_all_tasks_blocked()
        assert len(seen) == count
        for event in seen:
            assert await events.receive() == event


async def test_callbacks_may_be_sync_or_async_and_both_get_all_in_order(autojump_clock, queue, end, subscribed):
    quick, slow = [], []

    async def slowly(event):
        await trio.sleep(0.1)
        slow.append(event.name)

    subscribed("job:*", lambda event: quick.append(event.name))
    subscribed("job:*", slowly)
    async with queue:
        await end.enqueue()
        await trioq.Worker(queue).run_until_idle()
        await trio.sleep(1)
    assert quick == slow == ["job:enqueued", "job:started", "job:completed"]


async def test_after_unsubscribing_nothing_more_comes(autojump_clock, queue, end, subscribed):
    seen, others = [], []
    unsubscribe = subscribed("job:*", seen.append)
    subscribed("job:*", others.append)
    async with queue:
        await end.enqueue()
        await wait_all_tasks_blocked()
        unsubscribe()
        unsubscribe()
        await end.enqueue()
        await wait_all_tasks_blocked()
    assert (len(seen), len(others)) == (1, 2)


async def test_the_same_callback_can_be_subscribed_twice_and_each_is_let_go_by_itself(
    autojump_clock, queue, end, subscribed
):
    seen = []
    first = subscribed("job:*", seen.append)
    subscribed("job:enqueued", seen.append)
    async with queue:
        await end.enqueue()
        await wait_all_tasks_blocked()
        assert len(seen) == 2
        first()
        await end.enqueue()
        await wait_all_tasks_blocked()
    assert len(seen) == 3


@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(1), BaseException("base")])
async def test_a_callback_that_raises_is_logged_and_called_again_and_hurts_no_job(
    autojump_clock, queue, end, subscribed, caplog, error
):
    seen = []

    def fail(event):
        seen.append(event.name)
        raise error

    async def fail_later(event):
        await trio.sleep(0.1)
        raise error

    subscribed("job:*", fail)
    subscribed("job:*", fail_later)
    async with queue:
        job = await end.enqueue()
        await trioq.Worker(queue).run_until_idle()
        assert await job.state() == "completed"
    assert seen == ["job:enqueued", "job:started", "job:completed"]
    assert "a subscriber of job:started raised" in caplog.text


async def test_a_slow_subscriber_loses_the_oldest_and_sees_how_many(autojump_clock, queue, end):
    async with queue, event_emitter.subscribe("job:enqueued", buffer=3) as events:
        jobs = [await end.enqueue() for _ in range(10)]
        assert events.dropped == 7
        assert [(await events.receive()).job.id for _ in range(3)] == [job.id for job in jobs[7:]]


async def test_progress_of_a_job_is_coalesced_for_a_slow_subscriber(autojump_clock, queue):
    @queue.task
    async def report():
        for part in range(50):
            trioq.current_job().progress(part)
            await trio.sleep(1)

    async with queue, event_emitter.subscribe("job:progress", buffer=10) as events:
        for name in "ab":
            await report.options(id=name).enqueue()
        await trioq.Worker(queue).run_until_idle()
        last = [await events.receive() for _ in range(2)]
        assert {(event.job.id, event.progress["fraction"]) for event in last} == {("a", 49), ("b", 49)}
        assert events.dropped == 0


async def test_callbacks_run_for_a_producer_that_has_no_worker(autojump_clock, queue, end, subscribed):
    seen = []
    subscribed("job:enqueued", seen.append)
    async with queue:
        await end.enqueue()
    assert len(seen) == 1


async def test_callbacks_get_one_second_when_the_last_user_leaves(autojump_clock, queue, end, subscribed):
    seen = []

    async def slowly(event):
        await trio.sleep(0.4)
        seen.append(event)

    subscribed("job:enqueued", slowly)
    async with queue:
        for _ in range(5):
            await end.enqueue()
    assert trio.current_time() == 1
    assert len(seen) == 2


async def test_the_first_users_leaving_does_not_end_the_callbacks(autojump_clock, backend, queue, end, subscribed):
    seen = []
    subscribed("job:enqueued", seen.append)
    other = trioq.Queue("other", backend)
    async with queue:
        async with other:
            await other.enqueue("x")
        await end.enqueue()
    assert len(seen) == 2


async def test_callbacks_are_served_again_in_the_next_opening(autojump_clock, queue, end, subscribed):
    seen = []
    subscribed("job:enqueued", seen.append)
    for _ in range(3):
        async with queue:
            await end.enqueue()
    assert len(seen) == 3


async def test_a_subscriber_of_worker_events_receives_the_end_of_a_worker(autojump_clock, queue, subscribed):
    seen = []
    subscribed("worker:*", lambda event: seen.append(event.name))
    await trioq.Worker(queue).run_until_idle()
    assert seen == ["worker:started", "worker:stopped"]


async def test_a_buffer_below_one_is_refused(queue):
    for buffer in (0, -1):
        with pytest.raises(ValueError, match="buffer"):
            event_emitter.on("*", print, buffer=buffer)
        with pytest.raises(ValueError, match="buffer"):
            async with event_emitter.subscribe("*", buffer=buffer):
                pass


async def test_without_a_subscriber_no_event_is_built(autojump_clock, queue, end, monkeypatch):
    def forbidden(*args):
        raise AssertionError("an event was built")

    monkeypatch.setattr(trioq.events.JobEvent, "of", forbidden)
    async with queue:
        await end.enqueue()
        await trioq.Worker(queue).run_until_idle()
        assert (await queue.counts())["completed"] == 1


async def test_closing_a_subscription_ends_its_iteration(autojump_clock, queue, end):
    async with queue, event_emitter.subscribe("job:*") as events:
        await end.enqueue()
        events.close()
        seen = [event.name async for event in events]
        await end.enqueue()
    assert seen == ["job:enqueued"]


async def test_a_waiting_reader_wakes_with_the_next_event(autojump_clock, queue, end, nursery):
    seen = []

    async def read():
        async with event_emitter.subscribe("job:*") as events:
            event = await events.receive()
            seen.append((trio.current_time(), event.name))

    nursery.start_soon(read)
    async with queue:
        await trio.sleep(3)
        await end.enqueue()
        await wait_all_tasks_blocked()
    assert seen == [(3, "job:enqueued")]


async def test_progress_stands_where_it_belongs_in_time(autojump_clock, queue):
    @queue.task(max_retries=1, backoff=trioq.Fixed(0))
    async def report():
        trioq.current_job().progress(0.5)
        await trio.sleep(1)
        raise ValueError

    async with event_emitter.subscribe("job:*") as events, queue:
        await report.enqueue()
        await trioq.Worker(queue).run_until_idle(delayed=True)
        events.close()
        names = [event.name async for event in events]
    assert names.index("job:progress") > names.index("job:retrying")


async def test_what_a_slow_callback_lost_is_logged(autojump_clock, queue, caplog):
    async def slow(event):
        await trio.sleep(0.1)

    unsubscribe = trioq.event_emitter.on("job:enqueued", slow, buffer=1)
    try:
        async with queue:
            for _ in range(5):
                await queue.enqueue("anything")
    finally:
        unsubscribe()
    assert "loses events" in caplog.text
    assert "3 events" in caplog.text


async def test_a_callback_that_shields_itself_does_not_keep_a_queue_from_closing(autojump_clock, queue, caplog):
    async def stubborn(event):
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    unsubscribe = trioq.event_emitter.on("job:enqueued", stubborn)
    try:
        with trio.fail_after(10):
            async with queue:
                await queue.enqueue("anything")
                await wait_all_tasks_blocked()
    finally:
        unsubscribe()
    assert "shield themselves" in caplog.text


async def test_two_receivers_of_one_subscription_both_wake(autojump_clock, queue):
    seen = []

    async def receive(events):
        seen.extend([event.name async for event in events])

    with trio.fail_after(5):
        async with trioq.event_emitter.subscribe("job:enqueued") as events, trio.open_nursery() as nursery, queue:
            nursery.start_soon(receive, events)
            nursery.start_soon(receive, events)
            await wait_all_tasks_blocked()
            await queue.enqueue("anything")
            await wait_all_tasks_blocked()
            events.close()
    assert seen == ["job:enqueued"]


def waiting(events):
    """Put so many where a subscriber finds them."""
    for number in range(events):
        event_emitter.emit(QueuePaused(queue=str(number), at=NOW))


async def test_a_later_subscriber_receives_events_too_and_one_that_has_left_is_forgotten(queue, subscribed):
    called = []
    async with queue, event_emitter.subscribe("queue:paused") as first:
        waiting(1)  # from here on it is known who listens
        async with event_emitter.subscribe("queue:*") as second:
            waiting(1)
            unsubscribe = subscribed("*", called.append)
            waiting(1)
            await wait_all_tasks_blocked()
            with trio.fail_after(1):
                assert len([await first.receive() for _ in range(3)] + [await second.receive() for _ in range(2)]) == 5
            assert len(called) == 1
            unsubscribe()
            subscribed("job:*", called.append)
            assert event_emitter.wants("queue:resumed"), "the second does"
        assert not event_emitter.wants("queue:resumed"), "no subscription does any more"


async def test_a_reader_keeps_up_with_many_events_in_each_turn(nursery):
    async def emit():
        for _ in range(50):
            waiting(100)
            await trio.lowlevel.checkpoint()
        events.close()

    async with event_emitter.subscribe("queue:paused", buffer=300) as events:
        nursery.start_soon(emit)
        read = [event.queue async for event in events]
    assert (read, events.dropped) == ([str(number) for number in range(100)] * 50, 0)


async def turns_beside(nursery, *, ready, reads, after_each):
    """How many turns another task has, while one reads so many events, of which some lie ready."""
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with event_emitter.subscribe("queue:paused") as events:
        waiting(ready)
        nursery.start_soon(count_turns)
        for _ in range(reads):
            await events.receive()
            after_each()
        nursery.cancel_scope.cancel()
    return turns


async def test_a_reader_that_takes_its_time_lets_others_have_their_turn(nursery):
    assert await turns_beside(nursery, ready=100, reads=100, after_each=lambda: time.sleep(0.002)) >= 10


async def test_what_comes_while_a_reader_reads_waits_until_others_had_their_turn(nursery):
    assert await turns_beside(nursery, ready=10, reads=400, after_each=lambda: waiting(1)) >= 38


async def test_a_reader_is_cancelled_before_its_next_event_though_many_lie_ready():
    read = []
    async with event_emitter.subscribe("queue:paused") as events:
        waiting(5)
        with trio.CancelScope() as scope:
            async for event in events:
                read.append(event.queue)
                if len(read) == 2:
                    scope.cancel()
        assert read == ["0", "1"]
        assert (await events.receive()).queue == "2", "nothing is lost by it"


@pytest.mark.parametrize("pattern", ["job:faild", "jobs:*", ""])
async def test_a_pattern_that_no_event_can_match_is_refused(pattern):
    with pytest.raises(ValueError, match="job:failed"):
        event_emitter.on(pattern, print)
    with pytest.raises(ValueError, match="job:failed"):
        async with event_emitter.subscribe(pattern):
            pass


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="a pattern and a function"):
        event_emitter.on("job:failed", None)
