"""What psycopg promises to itself, and ``trioq/backends/postgres/connection.py`` builds on.  None of it is public.

A psycopg that breaks this fails here, and says which promise it was.  Nothing of ours is in between: the generators are
driven by hand.
"""

from __future__ import annotations

import inspect
import select
import tomllib
from collections.abc import Iterator
from contextlib import aclosing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import pytest
from packaging.requirements import Requirement
from psycopg import errors, generators, pq
from psycopg.conninfo import conninfo_attempts, conninfo_to_dict, make_conninfo, timeout_from_conninfo
from psycopg.waiting import Ready, Wait

from tests.postgres_server import PostgresServer, shared

ROOT = Path(__file__).parents[2]
ACTIVE, IDLE = pq.TransactionStatus.ACTIVE, pq.TransactionStatus.IDLE


@pytest.fixture(scope="module")
def server() -> PostgresServer:
    return shared()


@pytest.fixture
def connection(server: PostgresServer) -> Iterator[psycopg.AsyncConnection]:
    connection = by_hand(AwaitsNothing._connect_gen(server.url))
    connection._autocommit = True
    yield connection
    connection.pgconn.finish()


def ready(socket: int, wanted: Wait) -> int:
    """What the socket is ready for, once it is for some of what is wanted."""
    poll = select.poll()
    poll.register(socket, (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0))
    [(_, events)] = poll.poll(10_000)
    return (Ready.R if events & select.POLLIN else 0) | (Ready.W if events & select.POLLOUT else 0)


def by_hand(steps: Any, socket: int | None = None) -> Any:
    """What a generator comes to.  Before each step it is told that nothing is ready, and must want the same again."""
    try:
        wanted = next(steps)
        while True:
            assert steps.send(0) == wanted
            where, what = wanted if socket is None else (socket, wanted)
            assert isinstance(what, (Wait, int))
            wanted = steps.send(ready(where, what))
    except StopIteration as end:
        return end.value


class Lock:
    """As little of a lock as psycopg may ask for."""

    held = False

    async def __aenter__(self) -> None:
        assert not self.held
        self.held = True

    async def __aexit__(self, *raised: object) -> None:
        self.held = False


class AwaitsNothing(psycopg.AsyncConnection):
    """One whose methods never wait: if psycopg waited anywhere but in `wait`, `at_once` would notice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lock = Lock()
        self.driven: list[bool] = []

    async def wait(
        self,
        gen: Any,
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109  so does psycopg
    ) -> Any:
        self.driven.append(self.lock.held)
        if timeout is not None and not select.select([self.pgconn.socket], [], [], timeout)[0]:
            raise errors._WaitTimeout("nothing came in time")
        return by_hand(gen, self.pgconn.socket)


def at_once(coroutine: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("psycopg waited for something by its own means")


# --- the promises -------------------------------------------------------------------------------


def test_the_version_is_one_that_trioq_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [asked] = map(Requirement, project["optional-dependencies"]["postgres"])
    assert version("psycopg") in asked.specifier
    assert {each.operator for each in asked.specifier} == {">=", "<"}, "the range is open at one end"


def test_what_is_overridden_has_the_signature_that_it_is_overridden_with():
    def names(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    theirs = psycopg.AsyncConnection
    assert names(theirs.wait) == ["self", "gen", "interval", "timeout"]
    assert names(theirs.cancel_safe) == ["self", "timeout"]
    assert names(theirs._try_cancel) == ["self", "timeout"]
    assert names(theirs.transaction) == ["self", "savepoint_name", "force_rollback"]
    assert names(theirs.pipeline) == ["self"]
    assert names(theirs._connect_gen) == ["conninfo"]
    assert names(theirs._cancel_gen) == ["self"]
    assert names(theirs.connect) == [
        *("conninfo", "autocommit", "prepare_threshold", "context", "row_factory", "cursor_factory", "kwargs"),
    ]
    assert issubclass(errors._WaitTimeout, errors.OperationalError)


def test_addresses_are_found_without_a_loop(server: PostgresServer):
    params = conninfo_to_dict(server.url, connect_timeout=3)
    [attempt] = conninfo_attempts(params)
    assert timeout_from_conninfo(params) == 3
    assert attempt["hostaddr"] == "127.0.0.1"
    connection = by_hand(psycopg.AsyncConnection._connect_gen(make_conninfo("", **attempt)))
    assert connection.pgconn.status == pq.ConnStatus.OK
    connection.pgconn.finish()


def test_a_connection_that_is_given_up_half_way_closes_its_socket(server: PostgresServer):
    steps = psycopg.AsyncConnection._connect_gen(server.url)
    socket, _ = next(steps)
    steps.close()
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    assert poll.poll(0) == [(socket, select.POLLNVAL)]


def test_all_that_happens_on_a_connection_is_driven_by_wait_and_the_lock_is_held(connection: AwaitsNothing):
    async def everything() -> None:
        cursor = await connection.execute("SELECT 1")
        assert await cursor.fetchall() == [(1,)]
        async with connection.transaction():
            await connection.execute("CREATE TEMPORARY TABLE t (n int)")
            async with connection.transaction():
                pass
        async with connection.pipeline():
            await connection.execute("INSERT INTO t VALUES (%s)", (1,))
        await cursor.executemany("INSERT INTO t VALUES (%s)", [(2,), (3,)])
        async with connection.transaction(), connection.cursor("name") as named:
            await named.execute("SELECT n FROM t ORDER BY n")
            assert await named.fetchall() == [(1,), (2,), (3,)]
        async with aclosing(cursor.stream("SELECT n FROM t ORDER BY n")) as rows:
            assert [row async for row in rows] == [(1,), (2,), (3,)]
        async with cursor.copy("COPY t FROM STDIN") as writer:
            await writer.write_row((4,))
        async with cursor.copy("COPY (SELECT n FROM t ORDER BY n) TO STDOUT") as reader:
            assert [row async for row in reader.rows()] == [("1",), ("2",), ("3",), ("4",)]
        await connection.set_autocommit(False)
        await connection.execute("INSERT INTO t VALUES (4)")
        await connection.commit()
        await connection.execute("INSERT INTO t VALUES (5)")
        await connection.rollback()

    at_once(everything())
    assert len(connection.driven) > 20
    assert all(connection.driven)
    assert not connection.lock.held


def test_notifications_are_waited_for_with_a_timeout_that_wait_sees(server: PostgresServer, connection: AwaitsNothing):
    async def received() -> list[str]:
        return [notification.payload async for notification in connection.notifies(timeout=0.05)]

    at_once(connection.execute("LISTEN words"))
    server.sql("SELECT pg_notify('words', 'hello')")
    assert at_once(received()) == ["hello"]


def test_a_query_is_cancelled_by_a_generator_and_its_own_goes_on_to_the_end(
    server: PostgresServer, connection: AwaitsNothing
):
    steps = connection.cursor()._execute_gen("SELECT pg_sleep(30), 0")
    assert next(steps) in (Wait.R, Wait.RW)
    assert connection.pgconn.transaction_status == ACTIVE
    while not server.sql("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(30), 0'"):
        pass  # one that comes before its query cancels nothing
    by_hand(connection._cancel_gen())
    with pytest.raises(errors.QueryCanceled):
        by_hand(steps, connection.pgconn.socket)
    assert connection.pgconn.transaction_status == IDLE


def test_what_a_query_has_left_can_be_fetched(connection: AwaitsNothing):
    connection.pgconn.send_query(b"SELECT 1; SELECT 2")
    results = by_hand(generators.fetch_many(connection.pgconn), connection.pgconn.socket)
    assert [result.status for result in results] == [pq.ExecStatus.TUPLES_OK] * 2
    assert connection.pgconn.transaction_status == IDLE


@pytest.mark.parametrize("attribute", ["_autocommit", "_closed", "_pipeline", "_adapters"])
def test_what_is_set_and_asked_is_there(connection: AwaitsNothing, attribute: str):
    assert attribute in vars(connection)


def test_a_pipeline_says_that_it_is_one(connection: AwaitsNothing):
    async def look() -> None:
        async with connection.pipeline() as pipeline:
            assert connection._pipeline is pipeline
            assert connection.pgconn.pipeline_status == pq.PipelineStatus.ON
            await pipeline.sync()
        assert connection._pipeline is None
        assert connection.pgconn.pipeline_status == pq.PipelineStatus.OFF

    at_once(look())
