"""What the tests of the API and of the worker share."""

from __future__ import annotations

import gc
import signal
from contextlib import asynccontextmanager

import pytest
import trio

from tests import parallel


def pytest_configure(config: pytest.Config) -> None:
    parallel.register(config)


@pytest.fixture
def ctrl_c_interrupts():
    """Ctrl-C interrupts, as it does not in whatever a shell has begun in the background.

    Hypothesis listens to the garbage collector, and a KeyboardInterrupt that is raised in there is lost.
    """
    before, listeners = signal.signal(signal.SIGINT, signal.default_int_handler), list(gc.callbacks)
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = listeners
    signal.signal(signal.SIGINT, before)


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
