"""``Queue.within``: jobs are there with the commit of the caller's transaction, and without it never."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
import trio
from psycopg.rows import dict_row

import trioq
from tests.postgres_server import shared
from tests.postgres_stores import new_backend
from trioq import BackendNotOpen, IdTaken, NoTransaction, PostgresBackend, Unsupported
from trioq.abc import Hint
from trioq.postgres import Connection, connect


@pytest.fixture
def backend() -> PostgresBackend:
    return new_backend(shared())


@pytest.fixture
async def orders() -> AsyncIterator[str]:
    """A table of the user's own."""
    name = "orders"
    shared().sql(f"DROP TABLE IF EXISTS {name}; CREATE TABLE {name} (id text PRIMARY KEY)")
    return name


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    async with await connect(shared().url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def send(queue: trioq.Queue):
    @queue.task
    async def send(to: str) -> None: ...

    return send


async def test_jobs_are_there_with_the_commit_and_not_before(queue, send, connection, orders):
    async with queue:
        async with connection.transaction(), queue.within(connection) as tx:
            await connection.execute(f"INSERT INTO {orders} VALUES ('o')")
            handle = await tx.enqueue(send.options(id="receipt").bind("a@example.org"))
            assert await queue.job("receipt") is None
        assert shared().sql(f"SELECT id FROM {orders}") == [("o",)]
        assert (handle.id, handle.created) == ("receipt", True)
        job = await handle.refresh()
        assert (job.state, job.arguments()) == ("waiting", (["a@example.org"], {}))


async def test_what_is_kept_beyond_the_block_adds_nothing(queue, send, connection):
    async with queue, connection.transaction():
        async with queue.within(connection) as tx:
            await tx.enqueue(send.bind("a@example.org"))
        with pytest.raises(RuntimeError, match="has been left"):
            await tx.enqueue(send.bind("b@example.org"))


async def test_a_rollback_leaves_neither_data_nor_jobs(queue, send, connection, orders):
    async with queue:
        with pytest.raises(RuntimeError, match="no card"):
            async with connection.transaction(), queue.within(connection) as tx:
                await connection.execute(f"INSERT INTO {orders} VALUES ('o')")
                await tx.enqueue_many([send.bind("a"), send.bind("b")])
                raise RuntimeError("no card")
        assert shared().sql(f"SELECT id FROM {orders}") == []
        assert sum((await queue.counts()).values()) == 0


async def test_a_transaction_may_have_begun_with_its_first_query(queue, send):
    async with queue, await connect(shared().url) as connection:
        async with queue.within(connection) as tx:
            handle = await tx.enqueue(send.bind("a"))
        assert await queue.job(handle.id) is None
        await connection.commit()
        assert await handle.state() == "waiting"


async def test_many_jobs_go_in_chunks_of_one_transaction(queue, send, connection):
    async with queue:
        async with connection.transaction(), queue.within(connection) as tx:
            handles = await tx.enqueue_many(send.bind(str(number)) for number in range(1_100))
            assert sum((await queue.counts()).values()) == 0
        assert len({handle.id for handle in handles}) == 1_100
        assert (await queue.counts())["waiting"] == 1_100


async def test_a_worker_is_told_once_the_transaction_commits(queue, send, connection, backend):
    async with queue, backend.watch([queue.name]) as hints:
        await trio.sleep(0.1)  # a hint comes when it begins to listen
        await hints.receive()
        async with connection.transaction(), queue.within(connection) as tx:
            await tx.enqueue(send.bind("a"))
            with trio.move_on_after(0.1) as early:
                await hints.receive()
            assert early.cancelled_caught
        with trio.fail_after(5):
            assert await hints.receive() == Hint.READY


async def test_no_event_tells_of_jobs_whose_commit_is_not_ours(queue, send, connection, told):
    async with queue:
        async with connection.transaction(), queue.within(connection) as tx:
            await tx.enqueue(send.bind("a"))
        await send.enqueue("b")
        await trio.testing.wait_all_tasks_blocked()
    assert [event.job.arguments()[0] for event in told if event.name == "job:enqueued"] == [["b"]]


async def test_a_known_job_is_answered_also_one_of_the_same_transaction(queue, send, connection):
    async with queue:
        await send.options(id="known").enqueue("a")
        async with connection.transaction(), queue.within(connection) as tx:
            known = await tx.enqueue(send.options(id="known").bind("b"))
            first = await tx.enqueue(send.options(id="1", unique_key="k").bind("c"))
            second = await tx.enqueue(send.options(id="2", unique_key="k").bind("d"))
        assert [(handle.id, handle.created) for handle in (known, first, second)] == [
            ("known", False),
            ("1", True),
            ("1", False),
        ]


async def test_an_id_of_another_task_is_taken_and_the_transaction_can_go_on(queue, send, connection):
    @queue.task
    async def other() -> None: ...

    async with queue:
        await other.options(id="1").enqueue()
        async with connection.transaction(), queue.within(connection) as tx:
            with pytest.raises(IdTaken):
                await tx.enqueue(send.options(id="1").bind("a"))
            await tx.enqueue(send.options(id="2").bind("a"))
        assert await queue.job("2") is not None


@pytest.mark.parametrize("rolled_back", [True, False])
async def test_an_enqueue_waits_for_a_transaction_that_holds_its_key(queue, send, connection, nursery, rolled_back):
    handles = []
    enqueued = trio.Event()

    async def enqueue() -> None:
        handles.append(await send.options(unique_key="k").enqueue("b"))
        enqueued.set()

    async with queue:
        async with connection.transaction(force_rollback=rolled_back), queue.within(connection) as tx:
            first = await tx.enqueue(send.options(unique_key="k").bind("a"))
            nursery.start_soon(enqueue)
            await trio.sleep(0.1)
            assert handles == []
        await enqueued.wait()
    assert (handles[0].created, handles[0].id == first.id) == (rolled_back, not rolled_back)


async def test_a_connection_with_rows_of_another_kind_will_do(queue, send):
    async with queue, await connect(shared().url, row_factory=dict_row) as rows, queue.within(rows) as tx:
        assert (await tx.enqueue(send.options(id="1").bind("a"))).created
        assert not (await tx.enqueue(send.options(id="1").bind("a"))).created


@pytest.mark.parametrize("outer", ["pipeline", "transaction"])
async def test_a_pipeline_of_the_user_s_will_do(queue, send, connection, orders, outer):
    inner = {"pipeline": "transaction", "transaction": "pipeline"}[outer]
    async with queue:
        async with getattr(connection, outer)(), getattr(connection, inner)(), queue.within(connection) as tx:
            await connection.execute(f"INSERT INTO {orders} VALUES ('o')")
            first = await tx.enqueue(send.options(id="receipt", unique_key="k").bind("a@example.org"))
            again = await tx.enqueue_many(send.options(unique_key=key).bind("a@example.org") for key in "kll")
        assert shared().sql(f"SELECT id FROM {orders}") == [("o",)]
        assert first.created
        assert [handle.created for handle in again] == [False, True, False]
        assert (await queue.counts())["waiting"] == 2


async def test_what_the_server_refuses_comes_as_psycopg_raises_it(queue, send, connection):
    async with queue:
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            async with connection.transaction(), queue.within(connection) as tx:
                with pytest.raises(psycopg.errors.DivisionByZero):
                    await connection.execute("SELECT 1 / 0")
                await tx.enqueue(send.bind("a"))


async def test_a_connection_that_commits_each_statement_is_refused(queue, connection):
    async with queue:
        with pytest.raises(NoTransaction, match="Begin one first"):
            async with queue.within(connection):
                pass


async def test_only_a_connection_of_ours_will_do(queue):
    with psycopg.connect(shared().url) as connection:
        async with queue:
            with pytest.raises(TypeError, match=r"a connection of trioq\.postgres\.connect"):
                async with queue.within(connection):
                    pass


async def test_the_queue_must_be_open(queue, connection):
    with pytest.raises(BackendNotOpen):
        async with connection.transaction(), queue.within(connection):
            pass


async def test_other_backends_do_not_support_it(connection):
    async with trioq.Queue("q", "memory:") as queue, connection.transaction():
        with pytest.raises(Unsupported, match=r"InMemoryBackend does not support within\(\)"):
            async with queue.within(connection):
                pass
