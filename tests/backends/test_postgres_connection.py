"""psycopg's connection on Trio: all that it has works, and being cancelled at any moment leaves it in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from random import Random

import psycopg
import pytest
import trio
import trio.testing
from psycopg.rows import dict_row

from tests.postgres_server import PostgresServer, shared
from trioq.postgres import Connection, connect

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> PostgresServer:
    return shared()


@pytest.fixture
async def connection(server: PostgresServer) -> AsyncIterator[Connection]:
    """In autocommit, with an empty table of its own."""
    async with await connect(server.url, autocommit=True) as connection:
        await connection.execute("CREATE TEMPORARY TABLE t (n int PRIMARY KEY, word text)")
        yield connection


async def one(connection: Connection, query: str, *values: object) -> object:
    """The one value that a query answers."""
    cursor = await connection.execute(query, values or None)
    [(value,)] = await cursor.fetchall()
    return value


async def require_order(connection: Connection) -> None:
    """The connection is at rest, and its answers are those to its questions."""
    assert not connection.closed
    assert connection.is_at_rest
    for number in (17, 18):
        assert await one(connection, "SELECT %s::int", number) == number


def under_way(server: PostgresServer, words: str) -> int:
    """How many queries with these words the server works at."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE %s"
    return server.sql(asked, f"%{words}%")[0][0]


# --- in, and out --------------------------------------------------------------------------------


async def test_a_connection_answers_queries(server: PostgresServer):
    async with await connect(server.url, row_factory=dict_row) as connection:
        cursor = await connection.execute("SELECT %s::int AS n, %s::jsonb AS data", (1, '{"a": [null]}'))
        assert await cursor.fetchone() == {"n": 1, "data": {"a": [None]}}


async def test_a_socket_does_as_well_as_an_address(server: PostgresServer):
    async with await connect(server.socket_url) as connection:
        assert await one(connection, "SELECT 1") == 1


async def test_the_next_address_is_tried_where_no_server_answers(server: PostgresServer):
    url = f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{server.port}/postgres"
    async with await connect(url) as connection:
        assert await one(connection, "SELECT 1") == 1


async def test_where_no_server_answers_the_error_names_each_address():
    with pytest.raises(psycopg.OperationalError, match="refused") as caught:
        await connect("postgresql://postgres@127.0.0.1:1,127.0.0.1:2/postgres")
    assert "port 2" in str(caught.value)
    assert any("port 1" in note for note in caught.value.__notes__)


async def test_a_name_that_leads_nowhere_is_an_error():
    with pytest.raises(psycopg.OperationalError, match=r"nowhere\.invalid"):
        await connect("postgresql://nowhere.invalid/postgres")


async def test_a_server_that_says_nothing_is_given_up_after_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = trio.current_time()
        with pytest.raises(psycopg.errors.ConnectionTimeout) as caught:
            await connect(f"postgresql://127.0.0.1:{port}/postgres", connect_timeout=2)  # libpq's shortest
        assert trio.current_time() - began < 15
        client, _ = silent.accept()
        with client:
            client.settimeout(5)
            while client.recv(1_000):  # until its end, though its error is still looked at
                pass
    assert "no connection within 2 s" in str(caught.value)


async def test_who_gives_up_while_it_connects_leaves_nothing_behind(server: PostgresServer):
    async def come_and_stay() -> None:
        async with await connect(server.url + "?application_name=fickle"):
            await trio.sleep_forever()

    before = set(os.listdir("/dev/fd"))
    for checkpoints in range(40):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(come_and_stay)
            for _ in range(checkpoints % 10):
                await trio.testing.wait_all_tasks_blocked(0.0002 * (checkpoints // 10))
            nursery.cancel_scope.cancel()
    assert len(set(os.listdir("/dev/fd")) - before) <= 1  # the one that lists them
    with trio.fail_after(30):
        while server.connections("fickle"):  # noqa: ASYNC110  it is another process that is waited for
            await trio.sleep(0.01)


async def test_leaving_the_block_commits_and_closes(server: PostgresServer):
    async with await connect(server.url) as connection:
        await connection.execute("CREATE TABLE leaving AS SELECT 1")
    assert connection.closed
    assert server.sql("DROP TABLE leaving") == []


async def test_leaving_the_block_by_an_error_or_cancelled_rolls_back_and_closes(server: PostgresServer):
    with pytest.raises(KeyError):
        async with await connect(server.url) as first:
            await first.execute("CREATE TABLE never (n int)")
            raise KeyError
    with trio.CancelScope() as scope:
        async with await connect(server.url) as second:
            await second.execute("CREATE TABLE never (n int)")
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert first.closed
    assert second.closed
    assert server.sql("SELECT to_regclass('never')") == [(None,)]


async def test_an_error_is_not_lost_where_its_task_is_cancelled_as_well(server: PostgresServer):
    with pytest.raises(KeyError), trio.CancelScope() as scope:
        async with await connect(server.url) as connection:
            await connection.execute("SELECT 1")
            scope.cancel()
            raise KeyError


async def test_a_connection_stands_until_the_server_has_ended(own_server: PostgresServer):
    async with await connect(own_server.url, autocommit=True) as connection:
        assert connection.stands
        own_server.stop()
        assert not connection.stands
        assert connection.closed


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        ("import os; os.environ['PSYCOPG_IMPL'] = 'c'", 'pip install "psycopg[binary]"'),
        ("import sys; sys.modules['psycopg'] = None", 'pip install "trioq[postgres]"'),
    ],
)
def test_what_is_missing_says_how_to_get_it(prepare: str, sentence: str):
    program = [sys.executable, "-c", f"{prepare}; import trioq.postgres"]
    ended = subprocess.run(program, capture_output=True, text=True, check=False, cwd=ROOT)
    assert sentence in ended.stderr.splitlines()[-1]


# --- cancelled queries --------------------------------------------------------------------------


async def test_a_cancelled_query_ends_on_the_server_and_the_connection_goes_on(
    server: PostgresServer, connection: Connection
):
    began = trio.current_time()
    with trio.move_on_after(0.05) as scope:
        await connection.execute("SELECT pg_sleep(30), 'cancelled'")
    assert scope.cancelled_caught
    assert trio.current_time() - began < 15
    assert under_way(server, "pg_sleep(30), 'cancelled'") == 0
    await require_order(connection)


async def test_queries_cancelled_at_any_moment_never_mix_up_answers(connection: Connection):
    dice, hit = Random(5), 0
    for number in range(500):
        with trio.move_on_after(dice.random() * 0.0015) as scope:
            assert await one(connection, "SELECT %s::int + length(pg_sleep(0.0003)::text)", number) == number
        hit += scope.cancelled_caught
        assert await one(connection, "SELECT -%s::int", number) == -number
    assert hit > 20
    await require_order(connection)


async def test_statements_cancelled_at_any_moment_of_a_transaction_undo_all_of_it(connection: Connection):
    dice = Random(6)
    for number in range(200):
        with trio.move_on_after(dice.random() * 0.004):
            async with connection.transaction():
                await connection.execute("INSERT INTO t VALUES (%s)", (number,))
                async with connection.transaction():
                    await connection.execute("INSERT INTO t VALUES (-1 - %s)", (number,))
        assert connection.is_at_rest
    assert await one(connection, "SELECT count(*) FROM t AS a WHERE NOT EXISTS (SELECT FROM t WHERE n = -1 - a.n)") == 0
    await require_order(connection)


async def sleep(connection: Connection) -> None:
    await connection.execute("SELECT pg_sleep(30)")


async def sleep_many_times(connection: Connection) -> None:
    await connection.cursor().executemany("SELECT pg_sleep(%s)", [(30,), (30,)])


async def sleep_in_a_pipeline(connection: Connection) -> None:
    async with connection.pipeline():
        await connection.execute("SELECT pg_sleep(30)")


async def sleep_in_a_transaction(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("SELECT pg_sleep(30)")


async def copy_out(connection: Connection) -> None:
    async with connection.cursor().copy("COPY (SELECT pg_sleep(30) FROM generate_series(1, 9)) TO STDOUT") as copy:
        await copy.read()


async def stream(connection: Connection) -> None:
    async with aclosing(connection.cursor().stream("SELECT pg_sleep(30) FROM generate_series(1, 9)")) as rows:
        await anext(rows)


SLEEPERS = [sleep, sleep_many_times, sleep_in_a_pipeline, sleep_in_a_transaction, copy_out, stream]


@pytest.mark.parametrize("act", SLEEPERS)
async def test_whatever_is_cancelled_ends_soon(connection: Connection, act: Callable[[Connection], Awaitable[None]]):
    began = trio.current_time()
    with trio.move_on_after(0.05) as scope:
        await act(connection)
    assert scope.cancelled_caught
    assert trio.current_time() - began < 15
    await require_order(connection)


@pytest.mark.parametrize("act", SLEEPERS)
async def test_a_server_that_does_not_let_go_costs_the_connection(
    own_server: PostgresServer, act: Callable[[Connection], Awaitable[None]]
):
    connection = await connect(own_server.url, autocommit=True)
    connection.patience = 0.1
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(act, connection)
            await trio.testing.wait_all_tasks_blocked(0.05)
            own_server.freeze()
            began = trio.current_time()
            scope.cancel()
    assert scope.cancelled_caught
    assert trio.current_time() - began < 15
    assert connection.closed


async def test_a_query_that_outlives_one_cancellation_is_cancelled_again(connection: Connection):
    began = trio.current_time()
    with trio.move_on_after(0.05) as scope:
        await connection.execute(
            "DO $$ BEGIN PERFORM pg_sleep(30); EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(30); END $$"
        )
    assert scope.cancelled_caught
    assert trio.current_time() - began < 15
    await require_order(connection)


async def test_who_waits_for_its_turn_leaves_the_line_at_once(connection: Connection):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.execute, "SELECT pg_sleep(2)")
        await trio.testing.wait_all_tasks_blocked(0.01)
        began = trio.current_time()
        with trio.move_on_after(0.02) as scope:
            async with connection.transaction():
                pass
        assert scope.cancelled_caught
        assert trio.current_time() - began < 1.5
    await require_order(connection)


async def test_tasks_ask_one_after_the_other(connection: Connection):
    answers = []

    async def ask(number: int) -> None:
        answers.append((number, await one(connection, "SELECT %s::int", number)))

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ask, number)
    assert sorted(answers) == [(number, number) for number in range(20)]


@pytest.mark.slow
async def test_a_large_query_that_is_cancelled_leaves_the_connection_in_order(connection: Connection):
    dice, hit = Random(5), 0
    for _ in range(20):
        with trio.move_on_after(dice.random() * 0.1) as scope:
            await connection.execute("SELECT length(%s)", ("x" * 30_000_000,))
        hit += scope.cancelled_caught
        await require_order(connection)
    assert hit > 5


@trio.lowlevel.enable_ki_protection  # else it may come here, where the loop has begun to go on
async def interrupt() -> None:
    """Ctrl-C, from another thread, so that it finds the loop waiting: then it is for the main task."""
    await trio.sleep(0.1)
    await trio.to_thread.run_sync(os.kill, os.getpid(), signal.SIGINT)


@asynccontextmanager
async def interrupted() -> AsyncIterator[None]:
    """Ctrl-C comes inside, as itself."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interrupt)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_ends_the_query_and_leaves_the_connection_in_order(server: PostgresServer):
    async def main() -> None:
        async with await connect(server.url, autocommit=True) as connection:
            async with interrupted():
                await connection.execute("SELECT pg_sleep(30), 'ctrl-c'")
            await require_order(connection)

    trio.run(main)
    assert under_way(server, "pg_sleep(30), 'ctrl-c'") == 0


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_waits_for_a_commit_that_has_left(server: PostgresServer):
    async def main() -> None:
        async with await connect(server.url, autocommit=True) as connection:
            await connection.execute("CREATE TEMPORARY TABLE t (n int)")
            await make_commit_take(connection, 0.3)
            async with interrupted(), connection.transaction():
                await connection.execute("INSERT INTO t VALUES (1)")
            assert await one(connection, "SELECT count(*) FROM t") == 1

    trio.run(main)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_is_not_lost_where_a_commit_is_never_answered(server: PostgresServer):
    async def main() -> None:
        async with await connect(server.url, autocommit=True) as connection:
            await connection.execute("CREATE TEMPORARY TABLE t (n int)")
            connection.patience = 0.2
            await make_commit_take(connection, 30)
            async with interrupted(), connection.transaction():
                await connection.execute("INSERT INTO t VALUES (1)")
            assert connection.closed

    trio.run(main)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_comes_by_itself_also_where_much_is_being_sent(own_server: PostgresServer):
    async def main() -> None:
        async with await connect(own_server.url, autocommit=True) as connection:
            connection.patience = 0.2
            own_server.freeze()
            async with interrupted():
                await connection.execute("SELECT length(%s)", ("x" * 50 * 2**20,))
            assert connection.closed

    trio.run(main)


async def test_ctrl_c_never_comes_in_the_midst_of_what_psycopg_does(connection: Connection):
    protected = []
    connection.add_notice_handler(lambda notice: protected.append(trio.lowlevel.currently_ki_protected()))
    await connection.execute("DO $$ BEGIN RAISE NOTICE 'here'; END $$")
    assert protected == [True]


# --- transactions -------------------------------------------------------------------------------


async def test_a_transaction_is_stored_as_a_whole_or_not_at_all(connection: Connection):
    async with connection.transaction():
        await connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(KeyError):
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (2)")
            raise KeyError
    async with connection.transaction():
        await connection.execute("INSERT INTO t VALUES (3)")
        raise psycopg.Rollback
    assert await one(connection, "SELECT array_agg(n) FROM t") == [1]


async def test_a_cancelled_block_is_rolled_back(connection: Connection):
    with trio.CancelScope() as scope:
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1)")
            scope.cancel()
            await trio.lowlevel.checkpoint()
    await require_order(connection)
    assert await one(connection, "SELECT count(*) FROM t") == 0


async def test_a_cancelled_inner_block_undoes_itself_and_no_more(connection: Connection):
    async with connection.transaction():
        await connection.execute("INSERT INTO t VALUES (1)")
        with trio.move_on_after(0.05) as scope:
            async with connection.transaction():
                await connection.execute("INSERT INTO t VALUES (2)")
                await connection.execute("SELECT pg_sleep(30)")
        assert scope.cancelled_caught
        await connection.execute("INSERT INTO t VALUES (3)")
    assert await one(connection, "SELECT array_agg(n ORDER BY n) FROM t") == [1, 3]


async def make_commit_take(connection: Connection, seconds: float) -> None:
    """A COMMIT after an insert takes so long."""
    await connection.execute(
        "CREATE FUNCTION pg_temp.dawdle() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$"
    )
    await connection.execute(
        "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION pg_temp.dawdle()"
    )


async def test_a_commit_that_has_left_is_waited_for(connection: Connection):
    await make_commit_take(connection, 0.3)
    ended = False
    with trio.move_on_after(0.1) as scope:
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1)")
        ended = True
        await trio.lowlevel.checkpoint()
    assert ended
    assert scope.cancelled_caught
    assert await one(connection, "SELECT count(*) FROM t") == 1


async def test_so_is_one_without_a_block(server: PostgresServer):
    async with await connect(server.url) as connection:
        await connection.execute("CREATE TEMPORARY TABLE t (n int)")
        await make_commit_take(connection, 0.3)
        await connection.execute("INSERT INTO t VALUES (1)")
        with trio.move_on_after(0.1):
            await connection.commit()
            assert connection.is_at_rest
        assert await one(connection, "SELECT count(*) FROM t") == 1


async def test_a_commit_has_no_deadline_while_its_caller_is_not_cancelled(connection: Connection):
    connection.patience = 0.1
    await make_commit_take(connection, 0.4)
    async with connection.transaction():
        await connection.execute("INSERT INTO t VALUES (1)")
    assert await one(connection, "SELECT count(*) FROM t") == 1


async def test_a_commit_without_an_answer_closes_the_connection_and_is_reported_as_unknown(connection: Connection):
    connection.patience = 0.2
    await make_commit_take(connection, 30)
    with trio.move_on_after(0.1), pytest.raises(psycopg.OperationalError, match="whether a COMMIT was done is unknown"):
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1)")
    assert connection.closed


async def test_a_rollback_without_an_answer_closes_the_connection_and_raises_nothing(own_server: PostgresServer):
    connection = await connect(own_server.url, autocommit=True)
    connection.patience = 0.2
    began = trio.current_time()
    with trio.CancelScope() as scope:
        async with connection.transaction():
            own_server.freeze()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert connection.closed
    assert trio.current_time() - began < 15


async def test_a_query_that_was_refused_leaves_the_connection_in_order(connection: Connection):
    with pytest.raises(psycopg.errors.UndefinedTable):
        await connection.execute("SELECT * FROM nowhere")
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (1), (1)")
    await require_order(connection)


# --- pipelines and batches ----------------------------------------------------------------------


async def test_a_pipeline_answers_each_statement(connection: Connection):
    async with connection.pipeline():
        cursors = [await connection.execute("SELECT %s::int", (number,)) for number in range(100)]
    assert [(await cursor.fetchone())[0] for cursor in cursors] == list(range(100))
    await require_order(connection)


@pytest.mark.parametrize("within", ["pipeline", "transaction"])
async def test_a_cancelled_pipeline_ends_soon_and_leaves_the_connection_in_order(connection: Connection, within: str):
    began = trio.current_time()
    with trio.move_on_after(0.1) as scope:
        async with connection.pipeline():
            if within == "transaction":
                async with connection.transaction():
                    await connection.execute("SELECT pg_sleep(30)")
            else:
                await connection.execute("SELECT pg_sleep(30)")
    assert scope.cancelled_caught
    assert trio.current_time() - began < 15
    await require_order(connection)


async def test_a_pipeline_has_no_deadline_while_its_caller_is_not_cancelled(connection: Connection):
    connection.patience = 0.1
    async with connection.pipeline(), connection.transaction():
        await connection.execute("SELECT pg_sleep(0.3)")
        await connection.execute("INSERT INTO t VALUES (1)")
    assert await one(connection, "SELECT count(*) FROM t") == 1


async def test_an_error_in_a_pipeline_undoes_it_and_is_raised(connection: Connection):
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with connection.pipeline():
            await connection.execute("INSERT INTO t VALUES (1)")
            await connection.execute("SELECT 1 / 0")
    assert await one(connection, "SELECT count(*) FROM t") == 0
    await require_order(connection)


async def test_pipelines_cancelled_at_any_moment_leave_the_connection_in_order(connection: Connection):
    dice = Random(7)
    for number in range(100):
        with trio.move_on_after(dice.random() * 0.003):
            async with connection.pipeline():
                for n in range(10):
                    await connection.execute("SELECT %s::int", (n,))
                async with connection.transaction():
                    await connection.execute("INSERT INTO t VALUES (%s)", (number,))
        await require_order(connection)


async def test_many_at_once_are_all_stored(connection: Connection):
    await connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", [(n, "x") for n in range(5_000)])
    assert await one(connection, "SELECT count(*) FROM t") == 5_000


@pytest.mark.slow
async def test_many_at_once_that_are_cancelled_within_a_transaction_are_not_stored(connection: Connection):
    connection.patience = 60  # the server has to undo it all, and may be busy
    with trio.move_on_after(0.01) as scope:
        async with connection.transaction():
            await connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", [(n, "x") for n in range(50_000)])
    assert scope.cancelled_caught
    assert await one(connection, "SELECT count(*) FROM t") == 0
    await require_order(connection)


async def test_writing_many_rows_keeps_no_other_task_waiting(connection: Connection):
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        await connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", [(n, "x") for n in range(2_000)])
        after_many, turns = turns, 0
        async with connection.cursor().copy("COPY t FROM STDIN") as copy:
            for n in range(2_000, 60_000):
                await copy.write_row((n, "x" * 100))
        nursery.cancel_scope.cancel()
    assert after_many > 1_000
    assert turns > 20


async def test_a_large_value_goes_both_ways(connection: Connection):
    value = os.urandom(20 * 2**20)
    cursor = await connection.execute("SELECT %b", (value,), binary=True)
    assert await cursor.fetchone() == (value,)


# --- rows that come and go one by one -----------------------------------------------------------


async def test_copy_goes_in_and_out(connection: Connection):
    async with connection.cursor().copy("COPY t FROM STDIN") as copy:
        for n in range(10_000):
            await copy.write_row((n, f"word {n}"))
    async with connection.cursor().copy("COPY (SELECT n, word FROM t ORDER BY n) TO STDOUT") as copy:
        rows = [row async for row in copy.rows()]
    assert rows == [(str(n), f"word {n}") for n in range(10_000)]
    await require_order(connection)


async def test_a_cancelled_copy_stores_nothing_and_leaves_the_connection_in_order(connection: Connection):
    with trio.move_on_after(0.03) as scope:
        async with connection.cursor().copy("COPY t FROM STDIN") as copy:
            for n in range(10**9):
                await copy.write_row((n, "x" * 100))
    assert scope.cancelled_caught
    assert await one(connection, "SELECT count(*) FROM t") == 0
    with trio.move_on_after(0.03) as scope:
        async with connection.cursor().copy("COPY (SELECT generate_series(1, 1000000000)) TO STDOUT") as copy:
            async for _ in copy:
                pass
    assert scope.cancelled_caught
    await require_order(connection)


@pytest.mark.parametrize("query", ["COPY t FROM STDIN", "COPY (SELECT 1) TO STDOUT"])
async def test_copies_cancelled_at_any_moment_leave_the_connection_in_order(connection: Connection, query: str):
    dice = Random(9)
    for _ in range(150):
        with trio.move_on_after(dice.random() * 0.002):
            async with connection.cursor().copy(query) as copy:
                await trio.lowlevel.checkpoint()
                if "TO STDOUT" in query:  # one that isn't read to its end is an error of the user's
                    assert [bytes(row) async for row in copy] == [b"1\n"]
        await require_order(connection)


@pytest.mark.slow
async def test_a_stream_can_be_left_half_way_or_cancelled(connection: Connection):
    query = "SELECT generate_series(1, 1000000000)"
    async with aclosing(connection.cursor().stream(query)) as rows:
        assert await anext(rows) == (1,)
    await require_order(connection)
    with trio.move_on_after(0.03) as scope:
        async with aclosing(connection.cursor().stream(query)) as rows:
            async for _ in rows:
                pass
    assert scope.cancelled_caught
    await require_order(connection)


async def test_a_cursor_on_the_server_hands_out_rows(connection: Connection):
    async with connection.transaction(), connection.cursor("rows") as cursor:
        await cursor.execute("SELECT generate_series(1, 1000)")
        assert sum([n async for (n,) in cursor]) == 500_500


# --- notifications ------------------------------------------------------------------------------


async def test_notifications_come_in(server: PostgresServer, connection: Connection):
    await connection.execute("LISTEN words")
    server.sql("SELECT pg_notify('words', 'before')")
    async with aclosing(connection.notifies()) as notifications:
        assert (await anext(notifications)).payload == "before"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, server.sql, "SELECT pg_notify('words', 'meanwhile')")
            assert (await anext(notifications)).payload == "meanwhile"
    await require_order(connection)


async def test_waiting_for_notifications_ends_in_time_or_when_cancelled(connection: Connection):
    await connection.execute("LISTEN words")
    assert [each async for each in connection.notifies(timeout=0.05)] == []
    assert [each async for each in connection.notifies(timeout=0)] == []
    with trio.move_on_after(0.05) as scope:
        async with aclosing(connection.notifies()) as notifications:
            await anext(notifications)
    assert scope.cancelled_caught
    await require_order(connection)


async def test_what_has_come_already_needs_no_time(server: PostgresServer, connection: Connection):
    await connection.execute("LISTEN words")
    server.sql("SELECT pg_notify('words', 'hello')")
    await trio.sleep(0.05)  # it is on its way
    assert [each.payload async for each in connection.notifies(timeout=0)] == ["hello"]


async def test_a_query_in_the_midst_of_notifications_is_an_error_and_not_a_deadlock(
    server: PostgresServer, connection: Connection
):
    await connection.execute("LISTEN words")
    server.sql("SELECT pg_notify('words', 'hello')")
    async with aclosing(connection.notifies()) as notifications:
        await anext(notifications)
        with pytest.raises(RuntimeError, match=r"in the midst of notifies\(\), stream\(\) or copy\(\)"):
            await connection.execute("SELECT 1")


# --- the end of it ------------------------------------------------------------------------------


async def test_a_connection_that_the_server_ends_says_so(server: PostgresServer):
    async with await connect(server.url, autocommit=True) as connection:
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(psycopg.errors.AdminShutdown):
                    await connection.execute("SELECT pg_sleep(30)")

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            server.sql("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
        assert connection.closed


async def test_the_death_of_a_server_is_noticed_at_once(own_server: PostgresServer):
    connection = await connect(own_server.url, autocommit=True)
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(psycopg.OperationalError):
                await connection.execute("SELECT pg_sleep(30)")

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.01)
        own_server.kill()
    assert connection.closed


async def test_a_caller_that_waits_is_told_that_the_connection_was_dropped(connection: Connection):
    async with trio.open_nursery() as nursery:

        async def ask(query: str) -> None:
            with pytest.raises(psycopg.OperationalError, match="closed"):
                await connection.execute(query)

        nursery.start_soon(ask, "SELECT pg_sleep(30)")
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.start_soon(ask, "SELECT 1")  # waits in line
        await trio.testing.wait_all_tasks_blocked(0.01)
        connection.drop()
    connection.drop()  # again, to no effect


async def test_a_caller_that_sends_much_is_told_that_the_connection_was_dropped(own_server: PostgresServer):
    connection = await connect(own_server.url, autocommit=True)
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(psycopg.OperationalError, match="closed"):
                await connection.execute("SELECT length(%s)", ("x" * 50 * 2**20,))

        own_server.freeze()
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.05)
        connection.drop()
