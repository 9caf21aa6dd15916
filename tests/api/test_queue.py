"""The queue: what producers and operators do with jobs."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq
from trioq import BackendError, IdTaken, NotAllStored

NOW = 1_800_000_000.0  # when the store's clock starts in these tests


@pytest.fixture
def add(queue):
    @queue.task
    async def add(a, b=0):
        return a + b

    return add


async def test_a_job_is_stored_when_enqueue_returns(autojump_clock, queue, add):
    async with queue:
        handle = await add.enqueue(1, b=2)
        assert handle.created
        job = await queue.job(handle.id)
    assert (job.state, job.task, job.queue) == ("waiting", "add", "q")
    assert job.arguments() == ([1], {"b": 2})
    assert job.created_at == job.run_at == job.delay_until == NOW


async def test_ids_are_unique_and_rise_with_time(autojump_clock, queue, add):
    async with queue:
        ids = [(await add.enqueue(1)).id for _ in range(100)]
    assert len(set(ids)) == 100


async def test_a_producer_needs_no_code_of_the_task(autojump_clock, backend, queue, add):
    producer = trioq.Queue("q", backend)
    async with queue:
        handle = await producer.enqueue("add", [1], {"b": 5}, priority=3)
        assert (await handle.refresh()).priority == 3
        await trioq.Worker(queue).run_until_idle()
        assert await handle.result() == 6


async def test_enqueue_by_name_uses_the_task_where_the_queue_has_it(autojump_clock, queue):
    @queue.task(priority=7, max_retries=9)
    async def named(a: int):
        pass

    async with queue:
        job = await (await queue.enqueue("named", [1], max_retries=2)).refresh()
        assert (job.priority, job.max_retries) == (7, 2)
        with pytest.raises(trioq.WrongArguments):
            await queue.enqueue("named", [1, 2])


async def test_an_id_that_exists_is_that_job(autojump_clock, queue, add, told):
    async with queue:
        first = await add.options(id="once").enqueue(1)
        second = await add.options(id="once").enqueue(2)
        assert (first.created, second.created) == (True, False)
        assert (await queue.job("once")).arguments() == ([1], {})
        assert (await queue.counts())["waiting"] == 1
        await trioq.Worker(queue).run_until_idle()
        third = await add.options(id="once").enqueue(3)
        assert not third.created
        assert await third.result() == 1
    assert [event.name for event in told].count("job:enqueued") == 1


async def test_an_id_of_another_task_is_taken(autojump_clock, queue, add):
    @queue.task
    async def other():
        pass

    async with queue:
        await add.options(id="mine").enqueue(1)
        with pytest.raises(IdTaken, match="mine") as caught:
            await other.options(id="mine").enqueue()
        assert caught.value.task == "add"


async def test_ids_are_unique_within_a_queue_only(autojump_clock, backend, queue, add):
    other = trioq.Queue("other", backend)
    async with queue:
        assert (await add.options(id="same").enqueue(1)).created
        assert (await other.enqueue("anything", id="same")).created


async def test_a_unique_key_admits_one_live_job(autojump_clock, queue, add):
    async with queue:
        first = await add.options(unique_key="k").enqueue(1)
        second = await add.options(unique_key="k").enqueue(2)
        assert (second.id, second.created) == (first.id, False)
        await trioq.Worker(queue).run_until_idle()
        assert (await add.options(unique_key="k").enqueue(3)).created


async def test_a_key_held_by_a_job_of_another_task_gives_that_jobs_result_as_it_is(autojump_clock, queue):
    @queue.task
    async def spell() -> str:
        return "five"

    @queue.task
    async def count() -> int:
        return 5

    async with queue:
        first = await spell.options(unique_key="k").enqueue()
        second = await count.options(unique_key="k").enqueue()
        assert (second.id, second.created) == (first.id, False)
        await trioq.Worker(queue).run_until_idle()
        assert await second.result() == "five"


async def test_enqueue_many_stores_all_with_handles_in_order(autojump_clock, queue, add):
    async with queue:
        handles = await queue.enqueue_many(add.bind(number) for number in range(2500))
        await trioq.Worker(queue, concurrency=500).run_until_idle()
        assert [await handles[number].result() for number in (0, 999, 1000, 2499)] == [0, 999, 1000, 2499]


class Counting(trioq.InMemoryBackend):
    """Notes the batches, and refuses the one of this number."""

    def __init__(self, refused=-1, error=None):
        super().__init__()
        self.batches = []
        self._refused = refused
        self._error = error or BackendError("no more room")

    async def insert(self, jobs):
        self.batches.append(len(jobs))
        if len(self.batches) - 1 == self._refused:
            raise self._error
        return await super().insert(jobs)


async def test_enqueue_many_goes_in_chunks_of_a_thousand(autojump_clock):
    queue = trioq.Queue("q", Counting())
    add = queue.task(name="add")(_add)
    async with queue:
        await queue.enqueue_many(add.bind(number) for number in range(2500))
        await queue.enqueue_many([])
    assert queue.backend.batches == [1000, 1000, 500]


async def _add(a):
    return a


async def test_enqueue_many_goes_in_chunks_of_four_mebibytes(autojump_clock):
    queue = trioq.Queue("q", Counting())
    add = queue.task(name="add")(_add)
    async with queue:
        await queue.enqueue_many(add.bind("x" * 900_000) for _ in range(10))
    assert queue.backend.batches == [4, 4, 2]


async def test_metadata_counts_for_the_size_of_a_chunk(autojump_clock):
    queue = trioq.Queue("q", Counting())
    add = queue.task(name="add", metadata={"a": "x" * 900_000})(_add)
    async with queue:
        await queue.enqueue_many(add.bind(number) for number in range(10))
    assert queue.backend.batches == [4, 4, 2]


async def test_when_a_chunk_fails_the_error_holds_what_is_stored(autojump_clock):
    queue = trioq.Queue("q", Counting(refused=2))
    add = queue.task(name="add")(_add)
    async with queue:
        with pytest.raises(NotAllStored) as caught:
            await queue.enqueue_many(add.bind(number) for number in range(3500))
        assert len(caught.value.stored) == 2000
        assert isinstance(caught.value.__cause__, BackendError)
        assert (await queue.counts())["waiting"] == 2000
        assert (await caught.value.stored[1999].refresh()).arguments() == ([1999], {})


async def test_whatever_stops_it_half_way_the_error_holds_what_is_stored(autojump_clock, queue, add):
    other = trioq.Queue("other", "memory:")
    foreign = other.task(name="foreign")(_add)

    def calls(last):
        yield from (add.bind(number) for number in range(1500))
        yield last()

    async with queue:
        for last, kind in ((lambda: add.bind((1,)), trioq.NotSerializable), (lambda: foreign.bind(1), ValueError)):
            with pytest.raises(NotAllStored, match=r"^1,000 jobs are stored; the others were refused") as caught:
                await queue.enqueue_many(calls(last))
            assert isinstance(caught.value.error, kind)
            assert caught.value.__cause__ is caught.value.error
            assert len(caught.value.stored) == 1000
        assert (await queue.counts())["waiting"] == 2000


async def test_what_stops_it_before_anything_is_stored_comes_out_as_it_is(autojump_clock):
    queue = trioq.Queue("q", Counting(refused=0))
    add = queue.task(name="add")(_add)
    other = queue.task(name="other")(_add)
    async with queue:
        with pytest.raises(BackendError, match="no more room"):
            await queue.enqueue_many([add.bind(1)])
        with pytest.raises(trioq.NotSerializable):
            await queue.enqueue_many(add.bind(value) for value in (1, (1,)))
        await other.options(id="taken").enqueue(1)
        with pytest.raises(IdTaken):
            await queue.enqueue_many([add.options(id="taken").bind(1)])
        assert (await queue.counts())["waiting"] == 1


async def test_after_an_outage_half_way_the_error_does_not_claim_to_know(autojump_clock):
    queue = trioq.Queue("q", Counting(refused=1, error=trioq.BackendUnavailable("gone")))
    add = queue.task(name="add")(_add)
    async with queue:
        with pytest.raises(NotAllStored, match="1,000 jobs are stored; the chunk after them may be stored or not"):
            await queue.enqueue_many(add.bind(number) for number in range(1500))


async def test_a_taken_id_in_a_chunk_leaves_the_others_stored_and_says_so(autojump_clock, queue, add, told):
    @queue.task
    async def other():
        pass

    async with queue:
        await other.options(id="taken").enqueue()
        calls = [add.options(id=id).bind(1) for id in ("a", "taken", "b")]
        with pytest.raises(NotAllStored) as caught:
            await queue.enqueue_many(calls)
        assert isinstance(caught.value.__cause__, IdTaken)
        assert [handle.id for handle in caught.value.stored] == ["a", "b"]
        assert (await queue.counts())["waiting"] == 3
        await wait_all_tasks_blocked()
    assert [event.job.id for event in told if event.name == "job:enqueued"] == ["taken", "a", "b"]


async def test_the_calls_of_another_queue_are_refused(autojump_clock, queue):
    other = trioq.Queue("other", "memory:")
    foreign = other.task(name="foreign")(_add)
    async with queue:
        with pytest.raises(ValueError, match="other"):
            await queue.enqueue_many([foreign.bind(1)])
        assert sum((await queue.counts()).values()) == 0


async def test_a_waiting_job_is_cancelled_with_its_reason(autojump_clock, queue, add, told):
    async with queue:
        job = await add.enqueue(1)
        assert await queue.cancel(job.id, reason="not needed")
        assert not await queue.cancel(job.id)
        record = await job.refresh()
        assert (record.state, record.cancel_reason) == ("cancelled", "not needed")
        await trioq.Worker(queue).run_until_idle()
        assert (await job.refresh()).run == 0
    assert [event.name for event in told if event.name.startswith("job:")] == ["job:enqueued", "job:cancelled"]


async def test_a_delayed_job_can_be_cancelled(autojump_clock, queue, add):
    async with queue:
        job = await add.options(delay=60).enqueue(1)
        assert await job.cancel()
        await trioq.Worker(queue).run_until_idle(delayed=True)
        assert await job.state() == "cancelled"


async def test_a_job_that_is_claimed_during_its_cancel_is_cancelled_all_the_same(autojump_clock):
    class ClaimedWhenRead(trioq.InMemoryBackend):
        async def get(self, queue, ids):
            found = await super().get(queue, ids)
            await self.claim([queue], 1, "worker", 30.0, True)
            return found

    queue = trioq.Queue("q", ClaimedWhenRead())

    @queue.task
    async def add(a): ...

    async with queue:
        job = await add.enqueue(1)
        assert await job.cancel()
        assert (await job.refresh()).run == 1
        assert await job.state() == "cancelled"


async def test_what_is_not_there_or_has_ended_cannot_be_cancelled(autojump_clock, queue, add):
    async with queue:
        assert not await queue.cancel("unknown")
        job = await add.enqueue(1)
        await trioq.Worker(queue).run_until_idle()
        assert not await job.cancel()
        assert await job.state() == "completed"


async def test_a_cancel_reason_is_cut_and_made_storable(autojump_clock, queue, add):
    async with queue:
        job = await add.enqueue(1)
        await job.cancel("\ud800" + "x" * 200_000)
        reason = (await job.refresh()).cancel_reason
        assert len(reason.encode()) <= 64 * 1024


async def test_a_dead_letter_goes_round_again_with_all_its_attempts(autojump_clock, queue):
    broken = True

    @queue.task(max_retries=1, backoff=trioq.Fixed(0), ttl=1000)
    async def flaky():
        if broken:
            raise ValueError("broken")
        return "mended"

    async with queue:
        job = await flaky.enqueue()
        await trioq.Worker(queue).run_until_idle(delayed=True)
        assert (await job.refresh()).failures == 2
        broken = False
        await trio.sleep(10)
        assert await queue.requeue(job.id)
        record = await job.refresh()
        assert (record.state, record.failures, record.error) == ("waiting", 0, None)
        assert record.expires_at == pytest.approx(NOW + 1010)
        await trioq.Worker(queue).run_until_idle()
        assert await job.result() == "mended"
        assert (await job.refresh()).run == 3


async def test_only_ended_jobs_can_be_requeued(autojump_clock, queue, add):
    async with queue:
        job = await add.enqueue(1)
        assert not await queue.requeue(job.id)
        assert not await queue.requeue("unknown")


async def test_a_requeue_whose_key_a_live_job_holds_loses(autojump_clock, queue, add):
    async with queue:
        first = await add.options(unique_key="k").enqueue(1)
        await trioq.Worker(queue).run_until_idle()
        await add.options(unique_key="k").enqueue(2)
        assert not await queue.requeue(first.id)
        assert await first.state() == "completed"


async def test_removing_drops_the_record_but_not_of_an_active_job(autojump_clock, queue, at_work):
    @queue.task
    async def nap():
        await trio.sleep(10)

    async with queue:
        waiting = await nap.options(delay=100).enqueue()
        assert await queue.remove(waiting.id)
        assert not await queue.remove(waiting.id)
        assert await queue.job(waiting.id) is None
        running = await nap.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(1)
            assert not await queue.remove(running.id)
            await trio.sleep(10)
            assert await queue.remove(running.id)


async def test_a_paused_queue_hands_out_nothing_and_a_resumed_one_at_once(autojump_clock, queue, add, at_work, told):
    async with queue, at_work(trioq.Worker(queue)):
        await trio.sleep(3.3)
        assert not await queue.is_paused()
        await queue.pause()
        assert await queue.is_paused()
        await trio.sleep(0.1)
        job = await add.enqueue(1)
        await trio.sleep(60)
        assert await job.state() == "waiting"
        await queue.resume()
        await trio.sleep(0.1)
        assert await job.state() == "completed"
    queues = [(event.name, event.queue) for event in told if event.name.startswith("queue:")]
    assert queues == [("queue:paused", "q"), ("queue:resumed", "q")]


async def test_pause_and_resume_build_no_event_without_a_subscriber(queue, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("there is no subscriber")

    monkeypatch.setattr(trioq.events.QueuePaused, "__init__", refuse)
    monkeypatch.setattr(trioq.events.QueueResumed, "__init__", refuse)
    async with queue:
        await queue.pause()
        await queue.resume()
        assert not await queue.is_paused()


async def test_what_runs_when_a_queue_is_paused_goes_on(autojump_clock, queue, at_work):
    @queue.task
    async def nap():
        await trio.sleep(10)
        return "rested"

    async with queue:
        job = await nap.enqueue()
        async with at_work(trioq.Worker(queue)):
            await trio.sleep(1)
            await queue.pause()
            await trio.sleep(10)
            assert await job.result() == "rested"


async def test_counts_name_every_state(autojump_clock, queue, add):
    async with queue:
        assert await queue.counts() == dict.fromkeys(map(str, trioq.lifecycle.State), 0)
        await add.enqueue(1)
        await add.options(delay=5).enqueue(1)
        await (await add.enqueue(1)).cancel()
        counts = await queue.counts()
    assert (counts["waiting"], counts["delayed"], counts["cancelled"], counts["active"]) == (1, 1, 1, 0)


async def test_jobs_are_listed_by_age_over_any_number_of_pages(autojump_clock, queue, add):
    async with queue:
        await queue.enqueue_many(add.bind(number) for number in range(2300))
        numbers = [job.arguments()[0][0] async for job in queue.jobs()]
    assert numbers == list(range(2300))


async def test_jobs_are_listed_by_state_and_task(autojump_clock, queue, add):
    @queue.task
    async def other():
        pass

    async with queue:
        await add.enqueue(1)
        await other.options(delay=1).enqueue()
        cancelled = await add.enqueue(2)
        await cancelled.cancel()
        assert [job.id async for job in queue.jobs(state="cancelled")] == [cancelled.id]
        assert [job.task async for job in queue.jobs(task="other")] == ["other"]
        assert [job async for job in queue.jobs(state=trioq.lifecycle.State.DELAYED, task="add")] == []
        with pytest.raises(ValueError, match="nonsense"):
            await anext(queue.jobs(state="nonsense"))


async def test_dead_letters_are_the_failed_and_the_expired(autojump_clock, queue):
    @queue.task(max_retries=0)
    async def fail():
        raise ValueError

    @queue.task
    async def fine():
        pass

    async with queue:
        failed, expired = await fail.enqueue(), await fine.options(ttl=1).enqueue()
        await trio.sleep(2)
        await fine.enqueue()
        await (await fine.enqueue()).cancel()
        await trioq.Worker(queue).run_until_idle()
        assert {job.id async for job in queue.dead_letters()} == {failed.id, expired.id}


async def test_without_opening_it_the_error_says_how(autojump_clock, queue, add):
    for call in (add.enqueue(1), queue.counts(), queue.job("x"), queue.pause(), queue.wait_ended("x")):
        with pytest.raises(trioq.BackendNotOpen, match="async with"):
            await call


async def test_a_queue_can_be_entered_by_several_who_leave_in_any_order(autojump_clock, queue, add):
    async def use(begin, end):
        await trio.sleep(begin)
        async with queue:
            await add.enqueue(begin)
            await trio.sleep(end - begin)
            await add.enqueue(end)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use, 0, 2)
        nursery.start_soon(use, 1, 4)
        nursery.start_soon(use, 3, 5)
    async with queue:
        assert (await queue.counts())["waiting"] == 6


async def test_what_is_no_backend_or_no_settings_is_refused_when_the_queue_is_made(queue):
    with pytest.raises(TypeError, match=r"backend is a URL such as 'sqlite:jobs\.db', or a Backend, not 5"):
        trioq.Queue("q", backend=5)
    with pytest.raises(TypeError, match=r"not <class 'trioq\.InMemoryBackend'>"):
        trioq.Queue("q", trioq.InMemoryBackend)
    with pytest.raises(TypeError, match="backend is a URL"):
        queue.backend = 5
    with pytest.raises(TypeError, match=r"settings is a trioq\.Settings, not 5"):
        trioq.Queue("q", "memory:", settings=5)


async def test_an_unknown_scheme_names_the_known_ones():
    with pytest.raises(trioq.UnknownScheme, match="sqlite"):
        trioq.Queue("q", "mysql://localhost")


@pytest.mark.parametrize("name", ["", "x" * 201, "new\nline", "böse", None, 5])
async def test_names_are_printable_ascii(name):
    with pytest.raises(trioq.BadName):
        trioq.Queue(name, "memory:")


async def test_each_memory_url_is_a_store_of_its_own():
    assert trioq.Queue("q", "memory:").backend is not trioq.Queue("q", "memory:").backend


async def test_settings_are_read_when_the_queue_is_made(autojump_clock):
    settings = trioq.Settings(max_retries=7, max_crashes=2, max_payload_bytes=100, backend="memory:")
    queue = trioq.Queue("q", settings=settings)
    assert isinstance(queue.backend, trioq.InMemoryBackend)
    add = queue.task(name="add")(_add)
    async with queue:
        job = await (await add.enqueue(1)).refresh()
        assert (job.max_retries, job.max_crashes) == (7, 2)
        with pytest.raises(trioq.PayloadTooLarge):
            await add.enqueue("x" * 100)


async def test_settings_that_change_later_are_for_later_queues(autojump_clock, monkeypatch):
    monkeypatch.setattr(trioq.settings, "max_retries", 5)
    own = trioq.Settings(max_retries=5)
    for settings in (trioq.settings, own):
        queue = trioq.Queue("q", "memory:", None if settings is trioq.settings else own)
        settings.max_retries = 9
        assert queue.settings.max_retries == 5
        assert queue.task(name="add")(_add).bind(1).job.max_retries == 5


async def test_the_process_settings_are_validated_when_assigned(monkeypatch):
    monkeypatch.setattr(trioq.settings, "max_retries", 5)
    queue = trioq.Queue("q", "memory:")
    assert queue.task(name="add")(_add).bind(1).job.max_retries == 5
    with pytest.raises(ValueError, match="max_retries"):
        trioq.settings.max_retries = -1


async def test_a_coroutine_among_the_calls_is_refused_with_the_way_to_mend_it(autojump_clock, queue):
    @queue.task
    async def send(to: str) -> None: ...

    async with queue:
        with pytest.raises(TypeError, match=r"send\.bind"):
            await queue.enqueue_many([send.enqueue("a")])
        with pytest.raises(TypeError, match=r"send\.bind"):
            await queue.enqueue_many([send])


async def test_a_task_or_a_call_in_the_place_of_a_name_is_refused_with_the_way_to_mend_it(autojump_clock, queue):
    @queue.task
    async def send(to: str) -> None: ...

    async with queue:
        with pytest.raises(TypeError, match=r"send\.enqueue"):
            await queue.enqueue(send, ["a"])
        with pytest.raises(TypeError, match=r"send\.enqueue"):
            await queue.enqueue(send.bind("a"))


async def test_a_string_is_no_list_of_arguments(autojump_clock, queue):
    async with queue:
        with pytest.raises(TypeError, match="list of arguments"):
            await queue.enqueue("send", "abc")


def test_a_class_is_no_task(queue):
    with pytest.raises(trioq.BadTask, match="class"):

        @queue.task
        class Send: ...
