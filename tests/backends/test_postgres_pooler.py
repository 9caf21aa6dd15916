"""Behind a pooler in transaction mode: no hint comes through, nothing stays prepared, and all works nonetheless."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import trio

import trioq
from tests.postgres_pooler import Pooler, pooler_before
from tests.postgres_server import PostgresServer, shared
from tests.postgres_stores import new_schema
from trioq.backends._hints import ALL_HINTS
from trioq.backends.postgres import PostgresBackend
from trioq.backends.postgres.queries import channel_of
from trioq.postgres import connect


@pytest.fixture
def server() -> PostgresServer:
    return shared()


@pytest.fixture
def schema(server: PostgresServer) -> str:
    return new_schema(server)


@pytest.fixture
async def pooler(server: PostgresServer) -> AsyncIterator[Pooler]:
    async with pooler_before(server) as pooler:
        yield pooler


@pytest.fixture
async def queue(pooler: Pooler, schema: str) -> trioq.Queue:
    queue = trioq.Queue("q", backend=PostgresBackend(pooler.url, schema))

    @queue.task
    async def double(n: int) -> int:
        return 2 * n

    return queue


async def test_jobs_run_and_are_answered(queue: trioq.Queue, at_work) -> None:
    async with queue, at_work(trioq.Worker(queue)):
        with trio.fail_after(20):
            later = await queue.tasks["double"].options(delay=0.5).enqueue(50)
            jobs = await queue.enqueue_many(queue.tasks["double"].bind(n) for n in range(50))
            assert [await job.result() for job in jobs] == [2 * n for n in range(50)]
            assert await later.result() == 100


async def test_a_watcher_is_woken_now_and_then_while_no_hint_can_arrive(queue: trioq.Queue) -> None:
    async with queue, queue.backend.watch(["q"]) as hints:
        with trio.fail_after(30):
            for _ in range(4):  # the first are about beginning to listen
                assert await hints.receive() == ALL_HINTS


async def test_nothing_is_left_on_the_connections_of_others(
    server: PostgresServer, queue: trioq.Queue, pooler: Pooler, schema: str, at_work
) -> None:
    async with queue, at_work(trioq.Worker(queue)):
        for n in range(30):
            assert await (await queue.tasks["double"].enqueue(n)).result() == 2 * n
    async with AsyncExitStack() as stack:
        for _ in range(3):
            connection = await stack.enter_async_context(await connect(pooler.url, prepare_threshold=None))
            cursor = await connection.execute(
                "SELECT current_setting('enable_seqscan'), (SELECT count(*) FROM pg_prepared_statements), "
                "ARRAY(SELECT pg_listening_channels())"
            )
            [(seqscan, prepared, channels)] = await cursor.fetchall()
            assert (seqscan, prepared) == ("on", 0)
            assert channel_of(schema) not in channels, "else the client that has it next is told of each job, for ever"


async def test_an_answer_does_not_wait_for_hints_that_never_come(queue: trioq.Queue, at_work) -> None:
    async with queue, at_work(trioq.Worker(queue)):
        began = trio.current_time()
        for n in range(10):
            assert await (await queue.tasks["double"].enqueue(n)).result() == 2 * n
        assert trio.current_time() - began < 8


async def test_jobs_are_enqueued_within_a_transaction(queue: trioq.Queue, pooler: Pooler) -> None:
    async with (
        queue,
        await connect(pooler.url, autocommit=True, prepare_threshold=None) as connection,
    ):
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction(), queue.within(connection) as tx:
                await tx.enqueue(queue.tasks["double"].options(id="never").bind(1))
                raise ZeroDivisionError
        async with connection.transaction(), queue.within(connection) as tx:
            for n in range(10):
                await tx.enqueue(queue.tasks["double"].bind(n))
        assert await queue.job("never") is None
        assert (await queue.counts())["waiting"] == 10


async def test_a_cancelled_query_costs_the_pooler_no_connection(pooler: Pooler, queue: trioq.Queue) -> None:
    async with await connect(pooler.url, autocommit=True, prepare_threshold=None) as connection:
        for _ in range(10):
            with trio.move_on_after(0.02) as scope:
                await connection.execute("SELECT pg_sleep(10)")
            assert scope.cancelled_caught
            [(one,)] = await (await connection.execute("SELECT 1")).fetchall()
            assert one == 1


async def test_migrations_go_through_it(server: PostgresServer, pooler: Pooler) -> None:
    await PostgresBackend(pooler.url, "pooled").migrate()
    async with PostgresBackend(server.url, "pooled") as backend:
        assert await backend.queues() == []
