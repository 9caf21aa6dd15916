"""What the tests of the API and of the worker share."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio


@pytest.fixture
def at_work():
    """A context manager: inside it the worker given to it has started, and at its end it is stopped."""

    @asynccontextmanager
    async def at_work(worker, grace=0):
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.start)
            yield worker
            worker.stop(grace)

    return at_work
