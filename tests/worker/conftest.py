"""What the tests of the worker share: a queue in memory, a worker at work, and what was told meanwhile."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

import pytest
import trio

import trioq


@pytest.fixture
def faulty(monkeypatch):
    """The class of stores that fail on command."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("faulty").Faulty


@pytest.fixture
def store(faulty):
    """A store that fails on command."""
    return faulty()


@pytest.fixture
def queue(store):
    return trioq.Queue("q", store)


class Told:
    """The events of a test, in order."""

    def __init__(self):
        self._seen = []

    async def listen(self, subscription):
        async for event in subscription:
            self._seen.append(event)

    async def all(self, pattern="", **fields):
        """The events so far whose names begin so and whose fields are these."""
        await trio.testing.wait_all_tasks_blocked()
        return [
            event
            for event in self._seen
            if event.name.startswith(pattern) and all(getattr(event, name) == fields[name] for name in fields)
        ]

    async def names(self, pattern=""):
        return [event.name for event in await self.all(pattern)]


@pytest.fixture
async def told(nursery):
    told = Told()
    async with trioq.event_emitter.subscribe("*", buffer=100_000) as subscription:
        nursery.start_soon(told.listen, subscription)
        yield told


@pytest.fixture(autouse=True)
def wall_clock_stands_still(monkeypatch):
    """Store time is then Trio's alone: to the last bit the same in each run."""
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)


@pytest.fixture(autouse=True)
async def ends_in_virtual_time(nursery):
    """A test that would go on for ever fails, for no real timeout knows virtual time."""

    async def give_up():
        await trio.sleep(50_000)
        raise AssertionError("the test did not end within 50,000 virtual seconds")

    nursery.start_soon(give_up)
