"""`assert_enqueued` and `enqueued`: what an application's tests see of a queue."""

from __future__ import annotations

import pytest

from trioq import InMemoryBackend, Queue
from trioq.testing import assert_enqueued, enqueued


@pytest.fixture
def queue() -> Queue:
    queue = Queue("emails", backend=InMemoryBackend())

    @queue.task
    async def send(to: str, subject: str = "hi") -> None: ...

    @queue.task
    async def count(*numbers: int) -> None: ...

    return queue


async def test_it_answers_the_job_with_exactly_these_arguments(queue: Queue):
    send = queue.tasks["send"]
    async with queue:
        await send.enqueue("a@example.org")
        second = await send.options(priority=5).enqueue("b@example.org", subject="Welcome")
        job = await assert_enqueued(queue, send, "b@example.org", subject="Welcome")
        assert (job.id, job.priority) == (second.id, 5)


async def test_arguments_that_the_function_sees_as_the_same_are_the_same(queue: Queue):
    send = queue.tasks["send"]
    async with queue:
        await send.enqueue("a@example.org", "hi")
        for args, kwargs in [(("a@example.org",), {}), ((), {"to": "a@example.org"}), (("a@example.org", "hi"), {})]:
            await assert_enqueued(queue, send, *args, **kwargs)


async def test_a_task_may_be_given_by_name_also_without_its_code(queue: Queue):
    async with queue:
        await queue.enqueue("send", ["a@example.org"])
        await queue.enqueue("elsewhere", [1], {"deep": {"x": [None]}})
        await assert_enqueued(queue, "send", to="a@example.org")
        await assert_enqueued(queue, "elsewhere", 1, deep={"x": [None]})


@pytest.mark.parametrize(("task", "args"), [("send", ["b@example.org"]), ("count", ["a@example.org"])])
async def test_other_arguments_or_another_task_are_not_it(queue: Queue, task: str, args: list[str]):
    async with queue:
        await queue.tasks["send"].enqueue("a@example.org")
        with pytest.raises((AssertionError, TypeError)):
            await assert_enqueued(queue, task, *args)


async def test_a_job_that_has_ended_is_not_enqueued_any_more(queue: Queue):
    async with queue:
        handle = await queue.tasks["send"].enqueue("a@example.org")
        await handle.cancel()
        assert await enqueued(queue) == []
        with pytest.raises(AssertionError, match="nothing is there"):
            await assert_enqueued(queue, "send", "a@example.org")


async def test_the_failure_lists_what_is_there(queue: Queue):
    async with queue:
        await queue.tasks["send"].options(id="1").enqueue("a@example.org", subject="x")
        for number in range(21):
            await queue.tasks["count"].enqueue(number)
        with pytest.raises(AssertionError) as failure:
            await assert_enqueued(queue, queue.tasks["send"], "b@example.org")
    lines = str(failure.value).splitlines()
    assert lines[0] == "queue 'emails' has no live job send('b@example.org')"
    assert lines[2] == "  send('a@example.org', subject='x') is waiting, id 1"
    assert lines[-1] == "  and 2 more"


async def test_a_broken_payload_equals_nothing_and_is_listed(queue: Queue):
    async with queue:
        [call] = [queue.tasks["send"].bind("a@example.org")]
        await queue.backend.insert([call.job.having({"payload": b"\xff"})])
        with pytest.raises(AssertionError, match=r"send\(\.\.\.\) \[these are not a job's arguments"):
            await assert_enqueued(queue, "send", "a@example.org")


async def test_enqueued_counts_the_live_jobs_of_one_task(queue: Queue):
    async with queue:
        await queue.tasks["send"].enqueue("a@example.org")
        await queue.tasks["count"].options(delay=60).enqueue(1)
        assert len(await enqueued(queue)) == 2
        assert [job.task for job in await enqueued(queue, queue.tasks["count"])] == ["count"]
        assert [job.task for job in await enqueued(queue, "send")] == ["send"]
