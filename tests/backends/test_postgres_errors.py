"""What PostgreSQL refuses becomes an error of trioq, in a sentence that says what to do; the original is its cause."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest
import trio

from tests.postgres_server import PROGRAMS, PostgresServer, shared
from trioq import BackendError, BackendUnavailable, SchemaMissing
from trioq.backends.postgres.address import Address
from trioq.backends.postgres.connection import Connection
from trioq.backends.postgres.errors import is_denied, is_lost, translate


@pytest.fixture(scope="module")
def server() -> PostgresServer:
    return shared()


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """One whose settings may be changed; it has room for a single guest."""
    server = PostgresServer(
        next(iter(PROGRAMS.values())), max_connections="6", superuser_reserved_connections="5", max_wal_senders="0"
    )
    server.sql("CREATE ROLE ann LOGIN PASSWORD 'right'")
    server.sql("CREATE ROLE idle NOLOGIN")
    rules = (server.data / "pg_hba.conf").read_text()
    hers = "host all ann all scram-sha-256\nhost all stranger all reject\n"
    (server.data / "pg_hba.conf").write_text(hers + rules)
    server.reload()
    yield server
    server.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Connection[Any]]:
    connection = await Address.parse(url).open()
    try:
        yield connection
    finally:
        connection.drop()


async def refusal(url: str, query: bytes = b"SELECT 1") -> psycopg.Error:
    """What psycopg raises."""
    with pytest.raises(psycopg.Error) as caught:
        async with opened(url) as connection:
            await connection.execute(query)
    return caught.value


async def the_only_guest(url: str) -> Connection[Any]:
    """A connection to a server that has room for one, once those of the test before have found their way out."""
    with trio.fail_after(30):
        while True:
            with suppress(psycopg.OperationalError):
                return await Address.parse(url).open()
            await trio.sleep(0.01)


# --- before it lets us in -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "database", "sentence"),
    [
        ("ann:wrong@", "postgres", "the password of the URL is wrong, or missing"),
        ("ann@", "postgres", "the password of the URL is wrong, or missing"),
        ("unknown@", "postgres", "it does not let this user in"),
        ("idle@", "postgres", "it does not let this user in"),
        ("stranger@", "postgres", "it does not let this user in"),
        ("postgres@", "elsewhere", "there is no such database"),
    ],
)
async def test_who_may_not_come_in_is_told_why(own_server: PostgresServer, user: str, database: str, sentence: str):
    url = f"postgresql://{user}127.0.0.1:{own_server.port}/{database}"
    error = await refusal(url)
    at_first, later = translate(error, "WHERE", admitted=False), translate(error, "WHERE", admitted=True)
    assert str(at_first).startswith(f"WHERE: {sentence}")
    assert type(at_first) is BackendError
    assert type(later) is BackendUnavailable
    assert is_denied(error)
    assert "wrong@" not in str(at_first)


async def test_a_server_without_room_is_unavailable(own_server: PostgresServer):
    url = own_server.url.replace("postgres@", "ann:right@")
    async with await the_only_guest(url):
        error = await refusal(url)
    told = translate(error, "WHERE", admitted=False)
    assert type(told) is BackendUnavailable
    assert "Raise max_connections" in str(told)
    assert not is_denied(error)


async def test_a_server_that_shuts_down_or_is_gone_is_unavailable():
    server = PostgresServer(next(iter(PROGRAMS.values())))
    try:
        async with opened(server.url) as connection:
            server.stop()
            with pytest.raises(psycopg.Error) as caught:
                await connection.execute("SELECT 1")
        for error in (caught.value, await refusal(server.url)):
            assert type(translate(error, "WHERE", admitted=False)) is BackendUnavailable
            assert is_lost(error)
    finally:
        server.close()


# --- by its code --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "words", "lost"),
    [
        ("08006", BackendUnavailable, "the connection broke", True),
        ("25006", BackendUnavailable, "a failover is under way", True),
        ("25P04", BackendUnavailable, "transaction_timeout", True),
        ("40001", BackendUnavailable, "again and again", False),
        ("40P01", BackendUnavailable, "again and again", False),
        ("53000", BackendUnavailable, "not enough resources", False),
        ("53100", BackendUnavailable, "its disk is full", False),
        ("53200", BackendUnavailable, "out of memory", False),
        ("53300", BackendUnavailable, "Raise max_connections", False),
        ("55P03", BackendUnavailable, "a lock that another session holds", False),
        ("57014", BackendUnavailable, "took too long", False),
        ("57P01", BackendUnavailable, "an administrator", True),
        ("57P02", BackendUnavailable, "crashed", True),
        ("57P03", BackendUnavailable, "starting up", True),
        ("58030", BackendUnavailable, "its system failed", False),
        ("22021", BackendError, "UTF8", False),
        ("23505", BackendError, "a rule of the tables", False),
        ("42501", BackendError, "GRANT", False),
        ("42601", BackendError, "was refused", False),
        ("54000", BackendUnavailable, "queue of notifications", False),
        ("22003", BackendError, "can't keep", False),
        ("P0001", BackendError, "was refused", False),
        ("XX000", BackendError, "was refused", False),
        ("42P01", SchemaMissing, "trioq migrate WHERE", False),
        ("3F000", SchemaMissing, "trioq migrate WHERE", False),
        ("42703", SchemaMissing, "trioq migrate WHERE", False),
    ],
)
async def test_what_the_server_says_is_told_by_its_code(
    server: PostgresServer, code: str, kind: type[BackendError], words: str, lost: bool
):
    error = await refusal(
        server.url, f"DO $$ BEGIN RAISE 'no, says the server' USING ERRCODE = '{code}'; END $$".encode()
    )
    told = translate(error, "WHERE", admitted=False)
    assert type(told) is kind
    assert words in str(told)
    assert is_lost(error) == lost
    later = translate(error, "WHERE", admitted=True)
    assert type(later) is BackendUnavailable, "it is not about the data of a job"
    assert kind is SchemaMissing or "no, says the server" in str(told)


@pytest.mark.parametrize(
    ("prepare", "query", "words"),
    [
        ("SET default_transaction_read_only = on", "CREATE TABLE nothing ()", "it takes no writes"),
        ("SET statement_timeout = 10", "SELECT pg_sleep(5)", "took too long"),
        ("SELECT 1", "SELECT * FROM nowhere.nothing", "trioq migrate"),
        ("SELECT 1", r"SELECT E'\x00'", "UTF8, and no NUL"),
    ],
)
async def test_what_goes_wrong_in_earnest_is_told_likewise(
    server: PostgresServer, prepare: str, query: str, words: str
):
    async with opened(server.url) as connection:
        await connection.execute(prepare.encode())
        with pytest.raises(psycopg.Error) as caught:
            await connection.execute(query.encode())
    assert words in str(translate(caught.value, "WHERE", admitted=True))


async def test_a_missing_permission_is_an_error_at_first_and_an_outage_once_admitted(own_server: PostgresServer):
    own_server.sql("CREATE TABLE secrets ()")
    connection = await the_only_guest(own_server.url.replace("postgres@", "ann:right@"))
    with pytest.raises(psycopg.Error) as caught:
        await connection.execute(b"SELECT * FROM secrets")
    connection.drop()
    error = caught.value
    assert type(translate(error, "WHERE", admitted=False)) is BackendError
    assert type(translate(error, "WHERE", admitted=True)) is BackendUnavailable
    assert "GRANT" in str(translate(error, "WHERE", admitted=True))


def test_what_trioq_raised_itself_stays_as_it_is():
    error = BackendError("as it is")
    assert translate(error, "WHERE", admitted=True) is error


def test_a_programming_error_of_ours_is_no_outage():
    told = translate(KeyError("n"), "WHERE", admitted=True)
    assert type(told) is BackendError
    assert not is_lost(KeyError("n"))


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://ann:pw@host:5433/db", "postgresql://ann@host:5433/db"),
        ("postgres://host/db?password=pw&connect_timeout=9", "postgresql://host/db"),
        ("postgresql://a%20b:pw@host/d%2Fb", "postgresql://a%20b@host/d%2Fb"),
        ("postgresql://one:1,two:2/db", "postgresql://one:1,two:2/db"),
        ("postgresql://one,two/db", "postgresql://one,two/db"),
        ("postgresql://[::1]:99/db", "postgresql://[::1]:99/db"),
        ("postgresql://ann@/db?host=/run/postgresql&port=77", "postgresql://ann@:77/db?host=/run/postgresql"),
        ("postgresql://", "postgresql:///"),
        ("host=h dbname=d password=pw", "postgresql://h/d"),
    ],
)
def test_an_address_is_shown_without_its_password_and_leads_to_the_same_place(url: str, where: str):
    address = Address.parse(url)
    assert address.where == where
    assert Address.parse(where).where == where
    assert "pw" not in repr(address)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://host/db?colour=red", "colour"),
        ("postgresql://ann:my secret@host/db", "%XX"),
        ("postgresql://ann:my%secret@host/db", "%XX"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_password(url: str, words: str):
    with pytest.raises(ValueError, match="no URL of a PostgreSQL server") as caught:
        Address.parse(url)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_address_may_say_otherwise_than_we_would():
    assert Address.parse("postgresql://host").params["connect_timeout"] == 3
    assert Address.parse("postgresql://host?connect_timeout=9").params["connect_timeout"] == "9"
