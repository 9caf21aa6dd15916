"""Migrations of PostgreSQL: their sum is the layout that is written down, also where they are applied twice or at once.

``python -m tests.backends.test_postgres_migrations`` writes the layout down, after a migration was added.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio

from tests.postgres_server import EACH, PostgresServer, shared
from tests.postgres_stores import make_tables, new_schema
from trioq import BackendError, BackendUnavailable, PostgresBackend, SchemaMissing, SchemaTooNew
from trioq.backends.postgres.queries import quoted
from trioq.backends.postgres.schema import LAYOUT, migrations
from trioq.lifecycle import Job

WRITTEN_DOWN = Path(__file__).with_name("postgres_layout.txt")

_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
        pg_get_expr(d.adbin, d.adrelid), l.collname, a.attstorage
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
    WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' AND a.attnum > 0 ORDER BY c.relname, a.attnum
"""
_CONSTRAINTS = """
    SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = %s::regnamespace AND contype IN ('p', 'u', 'c', 'f') ORDER BY conname
"""
_INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname::regnamespace = %s::regnamespace ORDER BY indexname"
_REST = """
    SELECT relkind, relname, reloptions FROM pg_class
    WHERE relnamespace = %s::regnamespace AND relkind NOT IN ('i') ORDER BY relkind, relname
"""


def layout_of(server: PostgresServer, schema: str) -> str:
    """All tables with all that belongs to them."""
    lines: list[str] = []
    with psycopg.connect(server.url) as connection:
        connection.execute(f"SET search_path TO {quoted(schema)}")
        for query in (_COLUMNS, _CONSTRAINTS, _INDEXES, _REST):
            rows = connection.execute(query, (quoted(schema),)).fetchall()
            lines += ["  ".join(str(value) for value in row if value is not None) for row in rows]
            lines.append("")
    return "\n".join(lines).replace(f"{schema}.", "")


@pytest.fixture(params=EACH)
def server(request: pytest.FixtureRequest) -> PostgresServer:
    return shared(request.param)


@pytest.fixture
def schema(server: PostgresServer) -> str:
    """A schema that isn't there yet."""
    schema = new_schema(server)
    server.sql(f"DROP SCHEMA {schema} CASCADE")
    return schema


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, LAYOUT + 1))


def test_no_migration_drops_a_table() -> None:
    for _, script in migrations():
        assert not re.search(r"\b(DROP|TRUNCATE)\b", script, re.IGNORECASE)


async def test_the_sum_of_the_migrations_is_the_layout_that_is_written_down(
    server: PostgresServer, schema: str
) -> None:
    await PostgresBackend(server.url, schema).migrate()
    assert layout_of(server, schema) == WRITTEN_DOWN.read_text()


@pytest.mark.parametrize("done", range(LAYOUT + 1))
async def test_an_older_layout_is_brought_up_to_date_on_request(server: PostgresServer, schema: str, done: int) -> None:
    make_tables(server.url, schema, migrations()[:done])  # what an older trioq has left
    backend = PostgresBackend(server.url, schema)
    if done < LAYOUT:
        with pytest.raises(SchemaMissing):
            async with backend:
                pass
    await backend.migrate()
    assert layout_of(server, schema) == WRITTEN_DOWN.read_text()
    async with backend:
        await backend.insert([Job(id="1", queue="q", task="t")])
        await backend.migrate()  # with nothing to do, also while it is open
        assert await backend.queues() == ["q"]


async def test_any_number_may_migrate_at_once(server: PostgresServer, schema: str) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(PostgresBackend(server.url, schema).migrate)
    assert server.sql(f"SELECT number FROM {schema}.trioq_migrations") == [(number,) for number, _ in migrations()]


async def test_a_newer_layout_is_left_alone(server: PostgresServer) -> None:
    schema = new_schema(server)
    server.sql(f"INSERT INTO {schema}.trioq_migrations (number) VALUES ({LAYOUT + 1})")
    before = layout_of(server, schema)
    with pytest.raises(SchemaTooNew, match="written by a newer trioq"):
        await PostgresBackend(server.url, schema).migrate()
    assert layout_of(server, schema) == before


async def test_tables_of_another_program_are_left_alone(server: PostgresServer, schema: str) -> None:
    server.sql(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.jobs (mine text)")
    with pytest.raises(BackendError, match="has a table jobs that isn't trioq's"):
        await PostgresBackend(server.url, schema).migrate()
    assert server.sql(f"SELECT * FROM {schema}.jobs") == []


async def test_tables_may_stand_beside_those_of_others(server: PostgresServer, schema: str) -> None:
    server.sql(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.orders (id text)")
    backend = PostgresBackend(server.url, schema)
    await backend.migrate()
    async with backend:
        assert await backend.queues() == []
    assert server.sql(f"SELECT * FROM {schema}.orders") == []


async def test_a_migration_that_fails_leaves_nothing_behind(
    server: PostgresServer, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[Any] = [*migrations(), (LAYOUT + 1, "CREATE TABLE half (a text); SELECT 1 / 0")]
    monkeypatch.setattr("trioq.backends.postgres.schema.migrations", lambda: broken)
    with pytest.raises(BackendError, match="division by zero"):
        await PostgresBackend(server.url, schema).migrate()
    assert server.sql("SELECT to_regnamespace(%s)", schema) == [(None,)]


async def test_a_user_that_may_create_no_schema_can_migrate_one_that_is_there(
    server: PostgresServer, schema: str
) -> None:
    server.sql(f"CREATE ROLE {schema} LOGIN; CREATE SCHEMA {schema} AUTHORIZATION {schema}")
    url = server.url.replace("postgres@", f"{schema}@")
    await PostgresBackend(url, schema).migrate()
    with pytest.raises(BackendError, match="this user may not do that"):
        await PostgresBackend(url, f"{schema}_of_others").migrate()


async def test_a_server_that_is_not_there_is_no_bug_of_ours() -> None:
    with pytest.raises(BackendUnavailable, match="can't be reached"):
        await PostgresBackend("postgresql://127.0.0.1:1/jobs").migrate()


if __name__ == "__main__":
    WRITTEN_DOWN.write_text(layout_of(shared(), new_schema(shared())))
