"""New, empty stores on the PostgreSQL servers of the test run, migrated by a plain connection.

Opening a store migrates nothing, and a test's maker answers a backend that isn't open: so it is done here, before.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final

import psycopg

from tests.postgres_server import PostgresServer
from trioq.backends.postgres import PostgresBackend
from trioq.backends.postgres.queries import quoted
from trioq.backends.postgres.schema import migrations

_numbers: Final = count()


def new_schema(server: PostgresServer, name: str | None = None) -> str:
    """The name of a schema with all tables, and nothing in them."""
    name = name or f"test_{next(_numbers)}"
    make_tables(server.url, name, migrations())
    return name


def new_database(server: PostgresServer) -> str:
    """The URL of a database with a store where it is looked for: for processes that are told no schema."""
    name = f"test_{next(_numbers)}"
    server.sql(f"CREATE DATABASE {name}")
    url = f"{server.url.rpartition('/')[0]}/{name}"
    make_tables(url, "trioq", migrations())
    return url


def make_tables(url: str, schema: str, scripts: list[tuple[int, str]]) -> None:
    """What ``trioq migrate`` does, with these migrations."""
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE SCHEMA {quoted(schema)}")
        connection.execute(f"SET LOCAL search_path TO {quoted(schema)}")
        for number, script in scripts:
            connection.execute(script)
            connection.execute("INSERT INTO trioq_migrations (number) VALUES (%s)", (number,))


def new_backend(server: PostgresServer, clock: Callable[[], float] | None = None) -> PostgresBackend:
    """A backend over a new store, not yet entered."""
    return PostgresBackend(server.url, schema=new_schema(server), clock=clock)
