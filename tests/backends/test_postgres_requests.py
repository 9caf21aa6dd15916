"""The request runner of PostgreSQL: few connections serve many callers, and each request is answered."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from random import Random
from typing import Any

import psycopg
import pytest
import trio
import trio.testing

from tests.postgres_server import PostgresServer, shared
from tests.proxy import Proxy, all_of_them, none, proxy_before
from trioq import BackendError, BackendUnavailable
from trioq.backends import _request_runner
from trioq.backends.postgres.address import Address
from trioq.backends.postgres.connection import Connection
from trioq.backends.postgres.request_runner import RequestRunner

_numbers = count()


@pytest.fixture(scope="module")
def server() -> PostgresServer:
    return shared()


class CountingRunner(RequestRunner):
    """A request runner that counts the connections that it has lost."""

    def __init__(self, url: str, size: int) -> None:
        address = Address.parse(url)
        self.name = f"runner-{next(_numbers)}"
        address.params["application_name"] = self.name
        self.losses = 0
        super().__init__(address.open, address.where, size, self._lose)

    def _lose(self) -> None:
        self.losses += 1


@asynccontextmanager
async def runner_at(url: str, size: int = 3) -> AsyncIterator[CountingRunner]:
    runner = CountingRunner(url, size)
    await runner.open()
    try:
        yield runner
    finally:
        with trio.CancelScope(shield=True):
            await runner.close()


@pytest.fixture
async def runner(server: PostgresServer) -> AsyncIterator[CountingRunner]:
    async with runner_at(server.url) as runner:
        yield runner


def asking(query: str, *values: object) -> Callable[[Connection[Any]], Awaitable[Any]]:
    """A request: the first value that a query answers."""

    async def work(connection: Connection[Any]) -> Any:
        cursor = await connection.execute(query, values or None)
        return (await cursor.fetchone())[0] if cursor.description else None

    return work


async def ending_well(connection: Connection[Any]) -> int:
    """A request that is not cut short, as a COMMIT is not."""
    with trio.CancelScope(shield=True):
        await connection.execute("SELECT pg_sleep(0.4)")
    return 7


async def until_the_server_sleeps(server: PostgresServer, runner: CountingRunner) -> None:
    """Until it works at a request of this one."""
    asleep = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND state = 'active' AND query LIKE '%%pg_sleep%%'"
    )
    with trio.fail_after(30):
        while not server.sql(asleep + " AND state = 'active'", runner.name):  # noqa: ASYNC110  it is another process that is waited for
            await trio.sleep(0.01)


async def until_no_connection_is_left(server: PostgresServer, runner: CountingRunner) -> None:
    with trio.fail_after(30):
        while server.connections(runner.name):  # noqa: ASYNC110  it is another process that is waited for
            await trio.sleep(0.01)


async def until_it_answers(runner: RequestRunner) -> None:
    with trio.fail_after(30):
        while True:
            try:
                assert await runner.read(asking("SELECT 1")) == 1
                return
            except BackendUnavailable:
                await trio.sleep(0.01)


# --- connections --------------------------------------------------------------------------------


async def test_no_more_connections_than_there_are_places(server: PostgresServer, runner: CountingRunner):
    seen: set[int] = set()

    async def ask() -> None:
        seen.add(await runner.read(asking("SELECT pg_backend_pid() FROM pg_sleep(0.01)")))

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(ask)
    assert len(seen) == 3
    assert server.connections(runner.name) == 3


async def test_a_lone_caller_has_the_same_connection_each_time(runner: CountingRunner):
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(runner.read, asking("SELECT pg_sleep(0.01)"))
    assert len({await runner.read(asking("SELECT pg_backend_pid()")) for _ in range(10)}) == 1


@pytest.mark.slow
async def test_a_thousand_cancelled_calls_leave_no_other_without_a_connection(
    server: PostgresServer, runner: CountingRunner
):
    dice = Random(8)

    async def ask() -> None:
        with trio.move_on_after(dice.random() * 0.01):
            await runner.read(asking("SELECT pg_sleep(0.001)"))
            await runner.write(asking("SELECT pg_sleep(0.001)"), 5)

    for _ in range(50):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(runner.read, asking("SELECT pg_sleep(0.01)"))
    assert server.connections(runner.name) <= 3
    assert runner.losses == 0


async def test_a_server_that_takes_no_writes_is_left(runner: CountingRunner):
    before = await runner.read(asking("SELECT pg_backend_pid()"))
    with pytest.raises(BackendUnavailable, match="failover"):
        await runner.write(asking("DO $$ BEGIN RAISE SQLSTATE '25006'; END $$"), 5)
    assert await runner.read(asking("SELECT pg_backend_pid()")) != before
    assert runner.losses == 1


@pytest.mark.slow
async def test_a_connection_left_inside_a_transaction_serves_no_other_request(runner: CountingRunner):
    first = await runner.read(asking("SELECT pg_backend_pid()"))
    await runner.write(asking("BEGIN"), 5)
    assert await runner.read(asking("SELECT pg_backend_pid()")) != first


async def test_a_connection_that_ended_while_it_was_idle_is_replaced_without_an_error(
    server: PostgresServer, runner: CountingRunner
):
    for _ in range(10):
        process = await runner.read(asking("SELECT pg_backend_pid()"))
        server.sql("SELECT pg_terminate_backend(%s, 30000)", process)
        await runner.write(asking("SELECT 1"), 5)
    assert runner.losses == 10


async def test_a_connection_that_is_ended_in_the_midst_of_a_request_is_an_outage(
    server: PostgresServer, runner: CountingRunner
):
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(BackendUnavailable, match="an administrator ended the connection") as caught:
                await runner.write(asking("SELECT pg_sleep(60)"), 5)
            assert isinstance(caught.value.__cause__, psycopg.errors.AdminShutdown)

        nursery.start_soon(ask)
        await until_the_server_sleeps(server, runner)
        server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND state = 'active'",
            runner.name,
        )
    await runner.write(asking("SELECT 1"), 5)
    assert runner.losses == 1


@pytest.mark.slow
async def test_restarts_of_the_server_leave_no_request_without_a_connection(own_server: PostgresServer):
    async with runner_at(own_server.url) as runner:
        for number in range(10):
            async with trio.open_nursery() as nursery:
                for _ in range(number % 4):
                    nursery.start_soon(runner.read, asking("SELECT pg_sleep(0.01)"))
            (own_server.kill if number % 2 else own_server.stop)()
            with pytest.raises(BackendUnavailable, match="can't be reached"):
                await runner.read(asking("SELECT 1"))
            own_server.start()
            await until_it_answers(runner)
        assert own_server.connections(runner.name) <= 3


@pytest.mark.parametrize("warm", [False, True])
async def test_closing_tells_who_waits_and_leaves_no_connection(server: PostgresServer, warm: bool):
    async with runner_at(server.url) as runner, trio.open_nursery() as nursery:
        if warm:
            await runner.read(asking("SELECT 1"))

        async def ask() -> None:
            with pytest.raises(BackendUnavailable, match="closed while the request was under way"):
                await runner.write(asking("SELECT pg_sleep(60)"), 5)

        nursery.start_soon(ask)
        await runner.read(asking("SELECT 1"))
        await until_the_server_sleeps(server, runner)
        began = trio.current_time()
        await runner.close()
        assert trio.current_time() - began < 20
    await until_no_connection_is_left(server, runner)


async def test_a_write_that_ends_well_while_it_is_closed_leaves_no_connection(server: PostgresServer):
    async with runner_at(server.url) as runner:
        await runner.read(asking("SELECT 1"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.write, ending_well, 5)
            await until_the_server_sleeps(server, runner)
            await runner.close()
            assert runner._idle == []
    await until_no_connection_is_left(server, runner)


async def test_who_leaves_the_closing_leaves_no_connection_either(server: PostgresServer):
    """So does a Ctrl-C."""

    async def ask() -> None:
        assert await runner.write(ending_well, 5) == 7

    async with runner_at(server.url) as runner:
        await runner.read(asking("SELECT 1"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until_the_server_sleeps(server, runner)
            with trio.move_on_after(0.01) as scope:
                await runner.close()
            assert scope.cancelled_caught
    await until_no_connection_is_left(server, runner)
    assert runner._idle == []


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_before_a_request_has_begun_loses_no_place(server: PostgresServer):
    class Pressed(CountingRunner):
        def _at_hand(self) -> Connection[Any] | None:
            connection = super()._at_hand()
            if connection is not None:
                signal.raise_signal(signal.SIGINT)
            return connection

    async def main() -> None:
        runner = Pressed(server.url, 2)
        await runner.open()
        await runner.read(asking("SELECT 1"))
        with pytest.raises(KeyboardInterrupt):
            await runner.write(asking("SELECT 1"), 5)
        assert runner._places.value == 2
        await runner.close()

    trio.run(main)


# --- outcomes -----------------------------------------------------------------------------------


async def test_a_write_leaves_before_the_loop_turns_where_a_connection_is_at_hand(runner: CountingRunner):
    """So the server is at work while the other tasks of the turn are."""
    order: list[str] = []

    async def work(connection: Connection[Any]) -> None:
        order.append("asked")
        await connection.execute("SELECT 1")

    async def other() -> None:
        order.append("another task's turn")

    await runner.read(asking("SELECT 1"))
    for _ in range(10):  # in which order the tasks of a turn come is left to chance
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await runner.write(work, 5)
    assert order == ["asked", "another task's turn"] * 10


@pytest.mark.parametrize("warm", [False, True])
async def test_what_takes_longer_than_its_caller_waits_is_done_all_the_same(
    server: PostgresServer, runner: CountingRunner, warm: bool
):
    table = f"slow_{warm}"
    server.sql(f"CREATE TABLE {table} AS SELECT 1 AS n")
    if warm:
        await runner.read(asking("SELECT 1"))
    with pytest.raises(BackendUnavailable, match="whether the write was stored is unknown"):
        await runner.write(asking(f"UPDATE {table} SET n = 2 FROM pg_sleep(0.5)"), 0.2)
    await trio.sleep(0.7)
    assert server.sql(f"SELECT n FROM {table}") == [(2,)]
    assert runner.losses == 0


async def test_a_write_that_has_left_is_waited_for_also_by_who_is_cancelled(runner: CountingRunner):
    await runner.read(asking("SELECT 1"))
    with trio.move_on_after(0.05) as scope:
        assert await runner.write(asking("SELECT 7 FROM pg_sleep(0.2)"), 5) == 7
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def test_a_read_is_left_at_once(runner: CountingRunner):
    began = trio.current_time()
    with trio.move_on_after(0.05):
        await runner.read(asking("SELECT pg_sleep(30)"))
    assert trio.current_time() - began < 15


async def test_a_write_that_waits_for_a_place_never_leaves_once_it_is_cancelled(server: PostgresServer):
    asked = []

    async def work(connection: Connection[Any]) -> None:
        asked.append(connection)

    async with runner_at(server.url, size=1) as runner:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.read, asking("SELECT pg_sleep(0.2)"))
            await trio.sleep(0.05)
            with trio.move_on_after(0.05) as scope:
                await runner.write(work, 5)
            assert scope.cancelled_caught
        await runner.read(asking("SELECT 1"))
    assert asked == []


@pytest.mark.parametrize("warm", [False, True])
async def test_what_takes_too_long_is_ended_on_the_server(
    server: PostgresServer, runner: CountingRunner, monkeypatch: pytest.MonkeyPatch, warm: bool
):
    monkeypatch.setattr(_request_runner, "PATIENCE", 1.5)
    monkeypatch.setattr(RequestRunner, "_time_to_end", 0.5)
    if warm:
        await runner.read(asking("SELECT 1"))
    with pytest.raises(BackendUnavailable, match=r"answer within 1\.5 s"):
        await runner.write(asking("SELECT pg_sleep(60), 'too long'"), 1.5 if warm else 5)
    under_way = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%too long''' AND state = 'active'"
    with trio.fail_after(30):
        while server.sql(under_way):  # noqa: ASYNC110  it is another process that is waited for
            await trio.sleep(0.01)
    await runner.write(asking("SELECT 1"), 5)


@pytest.mark.parametrize("patience", [0.3, 3.0])
async def test_a_server_that_stands_still_is_unavailable_within_patience(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, patience: float
):
    monkeypatch.setattr(_request_runner, "PATIENCE", 3.0)
    monkeypatch.setattr(RequestRunner, "_time_to_end", 1.5)
    async with runner_at(own_server.url) as runner:
        await runner.read(asking("SELECT 1"))
        own_server.freeze()
        began = trio.current_time()
        with pytest.raises(
            BackendUnavailable, match=f"no answer within {patience:g} s: whether the write was stored is unknown"
        ):
            await runner.write(asking("SELECT 1"), patience)
        assert trio.current_time() - began < patience + 0.7
        own_server.thaw()
        await until_it_answers(runner)


@asynccontextmanager
async def runner_behind_a_proxy(server: PostgresServer) -> AsyncIterator[tuple[CountingRunner, Proxy]]:
    async with (
        proxy_before(server) as proxy,
        runner_at(server.url.replace(str(server.port), str(proxy.port)), size=2) as runner,
    ):
        await runner.read(asking("SELECT 1"))
        yield runner, proxy


async def test_what_is_swallowed_on_the_way_costs_no_place(own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_request_runner, "PATIENCE", 0.2)
    monkeypatch.setattr(RequestRunner, "_time_to_end", 0.1)
    async with runner_behind_a_proxy(own_server) as (runner, proxy):
        proxy.hold(all_of_them)
        for _ in range(3):
            with pytest.raises(BackendUnavailable):
                await runner.write(asking("SELECT 1"), 0.3)
        with trio.fail_after(30):
            while runner._places.value < 2:  # noqa: ASYNC110  it says nothing when it changes
                await trio.sleep(0.01)
        proxy.hold(none)
        proxy.break_all()
        proxy.mend()
        await until_it_answers(runner)


async def test_a_transaction_is_ended_within_patience_however_long_the_way(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
):
    """To ask for a ROLLBACK, and for one of each savepoint, would take as long again."""
    monkeypatch.setattr(_request_runner, "PATIENCE", 4.0)
    monkeypatch.setattr(RequestRunner, "_time_to_end", 1.5)

    async def work(connection: Connection[Any]) -> None:
        async with connection.transaction(), connection.transaction(), connection.transaction():
            await connection.execute("SELECT pg_sleep(30)")

    async with runner_behind_a_proxy(own_server) as (runner, proxy):
        proxy.delay = 0.2
        began = trio.current_time()
        with pytest.raises(BackendUnavailable, match="whether the write was stored is unknown"):
            await runner.write(work, 4.0)
        assert trio.current_time() - began < 7


async def test_a_commit_that_is_never_answered_is_told_as_any_other_write(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_request_runner, "PATIENCE", 1.0)
    async with runner_behind_a_proxy(own_server) as (runner, proxy):

        async def work(connection: Connection[Any]) -> None:
            async with connection.transaction():
                await connection.execute("SELECT 1")
                proxy.hold(all_of_them)

        with pytest.raises(BackendUnavailable, match="no answer within 1 s: whether the write was stored is unknown"):
            await runner.write(work, 1.0)


# --- done again ---------------------------------------------------------------------------------


async def test_works_that_collide_are_done_again(server: PostgresServer, runner: CountingRunner):
    server.sql("CREATE TABLE tallies AS SELECT 1 AS id, 0 AS n")

    async def add(connection: Connection[Any]) -> None:
        async with connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            [(n,)] = await (await connection.execute("SELECT n FROM tallies")).fetchall()
            await connection.execute("SELECT pg_sleep(0.01)")
            await connection.execute("UPDATE tallies SET n = %s", (n + 1,))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(runner.write, add, 5)
    assert server.sql("SELECT n FROM tallies") == [(3,)]


async def test_a_deadlock_is_untied(own_server: PostgresServer):
    own_server.sql("CREATE TABLE pairs AS SELECT id, 0 AS n FROM generate_series(1, 2) AS id")
    own_server.sql("ALTER SYSTEM SET deadlock_timeout = '50ms'")
    own_server.sql("SELECT pg_reload_conf()")

    async def add(first: int, second: int, connection: Connection[Any]) -> None:
        async with connection.transaction():
            for id in (first, second):
                await connection.execute("UPDATE pairs SET n = n + 1 WHERE id = %s", (id,))
                await connection.execute("SELECT pg_sleep(0.1)")

    async with runner_at(own_server.url) as runner, trio.open_nursery() as nursery:
        nursery.start_soon(runner.write, partial(add, 1, 2), 5)
        nursery.start_soon(runner.write, partial(add, 2, 1), 5)
    assert own_server.sql("SELECT n FROM pairs") == [(2,), (2,)]


async def test_what_always_collides_is_unavailable_after_three_tries(runner: CountingRunner):
    tries = []

    async def collide(connection: Connection[Any]) -> None:
        tries.append(connection)
        await connection.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    with pytest.raises(BackendUnavailable, match="again and again"):
        await runner.write(collide, 5)
    assert len(tries) == 3
    assert len(set(tries)) == 1
    assert runner.losses == 0


async def test_what_is_refused_is_not_done_again(runner: CountingRunner):
    tries = []

    async def offend(connection: Connection[Any]) -> None:
        tries.append(connection)
        await connection.execute("SELECT 1 / 0")

    with pytest.raises(BackendError, match="division by zero"):
        await runner.write(offend, 5)
    assert len(tries) == 1


async def test_prepared_statements_that_get_lost_are_used_no_more(
    runner: CountingRunner, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "trioq")
    for _ in range(7):
        await runner.read(asking("SELECT %s::int + 1", 1))
    # Not as a statement of its own: psycopg would notice.
    await runner.read(asking("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"))
    for _ in range(7):
        assert await runner.read(asking("SELECT %s::int + 1", 1)) == 2
    assert await runner.read(asking("SELECT count(*) FROM pg_prepared_statements")) == 0
    assert [record.message for record in caplog.records if "pooler" in record.message] != []
    assert runner.losses == 0


async def test_tables_that_change_behind_a_prepared_statement_are_no_error(
    server: PostgresServer, runner: CountingRunner
):
    server.sql("CREATE TABLE growing AS SELECT 1 AS n")
    for _ in range(7):
        await runner.read(asking("SELECT * FROM growing"))
    server.sql("ALTER TABLE growing ADD COLUMN word text")
    assert await runner.read(asking("SELECT * FROM growing")) == 1


# --- denied -------------------------------------------------------------------------------------


async def test_who_was_never_admitted_is_refused_and_who_was_waits(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture
):
    own_server.sql("CREATE ROLE ann LOGIN")
    own_server.sql("CREATE TABLE hers AS SELECT 1")
    async with runner_at(own_server.url.replace("postgres@", "ann@")) as runner:
        with pytest.raises(BackendError, match="GRANT") as caught:
            await runner.read(asking("SELECT * FROM hers"))
        assert not isinstance(caught.value, BackendUnavailable)
        own_server.sql("GRANT SELECT ON hers TO ann")
        await runner.read(asking("SELECT * FROM hers"))
        own_server.sql("REVOKE SELECT ON hers FROM ann")
        for _ in range(3):
            with pytest.raises(BackendUnavailable, match="GRANT"):
                await runner.read(asking("SELECT * FROM hers"))
        assert len(caplog.records) == 1
        own_server.sql("GRANT SELECT ON hers TO ann")
        await runner.read(asking("SELECT * FROM hers"))
