"""What a type checker must accept, and with which types.  Checked by pyright, not run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, assert_type

import trio

import trioq

queue = trioq.Queue("emails", backend="memory:")


@queue.task
async def send(to: str, subject: str = "hi") -> str:
    return f"{subject}, {to}"


@queue.task(max_retries=3, backoff=trioq.Exponential(base=1), ttl=3600, timeout=None, priority=5, sandbox=False)
def add(a: int, b: int) -> int:
    return a + b


@queue.task(name="ping")
async def nothing() -> None: ...


async def a_task_is_still_its_function() -> None:
    assert_type(await send("a@example.org"), str)
    assert_type(add(1, 2), int)
    assert_type(await nothing(), None)


async def enqueue_takes_the_arguments_of_the_function() -> None:
    job = await send.enqueue("a@example.org", subject="hello")
    assert_type(job, trioq.JobHandle[str])
    assert_type(await job.result(), str)
    assert_type(await (await add.enqueue(1, b=2)).result(), int)
    assert_type(job.created, bool)
    assert_type(await job.refresh(), trioq.Job)


async def options_keep_the_signature() -> None:
    later = send.options(delay=60, id="welcome-7", metadata={"tenant": 1})
    assert_type(await later.enqueue("b@example.org"), trioq.JobHandle[str])
    assert_type(send.options(run_at=datetime.now(UTC), ttl=None).bind("b"), trioq.Call[str])


async def bound_calls_go_into_one_batch() -> None:
    assert_type(await queue.enqueue_many(send.bind(to) for to in ("a", "b")), list[trioq.JobHandle[str]])
    mixed = [send.bind("a"), add.bind(1, 2)]
    assert_type(mixed, list[trioq.Call[str] | trioq.Call[int]])
    await queue.enqueue_many(mixed)


async def handles_and_calls_are_covariant() -> None:
    handle: trioq.JobHandle[object] = await add.enqueue(1, 2)
    call: trioq.Call[float] = add.bind(1, 2)
    await handle.cancel(reason="no longer wanted")
    await queue.submit(call)


async def nurseries_take_enqueue_and_start() -> None:
    worker = trioq.Worker(queue, concurrency=50, rate_limit=100, rate_interval=1.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.start)
        nursery.start_soon(send.enqueue, "a@example.org")
        worker.concurrency = 10
        worker.stop(grace=5)
    assert_type(worker.statistics(), trioq.WorkerStatistics)


async def a_queue_answers_plain_values() -> None:
    async with queue:
        assert_type(await queue.counts(), dict[str, int])
        assert_type(await queue.is_paused(), bool)
        assert_type(await queue.job("welcome-7"), trioq.Job | None)
        assert_type(await queue.enqueue("send", ["a@example.org"], {"subject": "hi"}, delay=3), trioq.JobHandle[Any])
        async for job in queue.dead_letters():
            assert_type(job, trioq.Job)


async def subscribers_get_events() -> None:
    unsubscribe = trioq.event_emitter.on("job:failed", print)
    assert_type(unsubscribe, Callable[[], None])
    async with trioq.event_emitter.subscribe("job:*", buffer=10) as events:
        async for event in events:
            if isinstance(event, trioq.events.JobFailed):
                assert_type(event.error, str)


@asynccontextmanager
async def lifespan(worker: trioq.Worker) -> AsyncGenerator[dict[str, float]]:
    yield {"pool": worker.concurrency}


trioq.Worker(queue, lifespan=lifespan)


def on_failure(event: trioq.events.JobFailed) -> None:
    print(event.error)


trioq.event_emitter.on("job:failed", on_failure)
