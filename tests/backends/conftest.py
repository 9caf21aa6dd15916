"""Servers that a test may kill, freeze and lock up; gentle tests share theirs (`shared` of ``tests/servers.py``)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import postgres_server, servers
from tests.postgres_server import PostgresServer
from tests.servers import Server


@pytest.fixture(params=servers.EACH)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A Redis server of each kind, for this test alone."""
    server = Server(servers.PROGRAMS[request.param])
    yield server
    server.close()


@pytest.fixture(scope="module")
def lonely_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for one file of tests."""
    server = PostgresServer(next(iter(postgres_server.PROGRAMS.values())))
    yield server
    server.close()


@pytest.fixture
def own_server(lonely_server: PostgresServer) -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may freeze and kill."""
    yield lonely_server
    lonely_server.restart()
