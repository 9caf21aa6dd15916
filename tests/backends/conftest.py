"""Redis servers that a test may kill, stop and lock up; those for gentle tests are shared (``tests/servers.py``)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import EACH, PROGRAMS, Server


@pytest.fixture(params=EACH)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each kind, for this test alone."""
    server = Server(PROGRAMS[request.param])
    yield server
    server.close()
