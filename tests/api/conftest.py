"""What the tests of the API share: a queue in memory, what was told, and a worker where one is needed."""

from __future__ import annotations

import time

import pytest

import trioq


@pytest.fixture
def backend():
    return trioq.InMemoryBackend()


@pytest.fixture
def queue(backend):
    return trioq.Queue("q", backend)


@pytest.fixture
async def told(nursery):
    """Every event of the test, in order: a list."""
    events = []

    async def listen(subscription):
        async for event in subscription:
            events.append(event)  # noqa: PERF401 - others read the list meanwhile

    async with trioq.event_emitter.subscribe("*", buffer=100_000) as subscription:
        nursery.start_soon(listen, subscription)
        yield events


@pytest.fixture(autouse=True)
def wall_clock_stands_still(monkeypatch):
    """Store time is then Trio's alone: to the last bit the same in each run."""
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)


@pytest.fixture(autouse=True)
def no_subscription_is_left():
    yield
    emitter = trioq.event_emitter
    assert not emitter._handlers, "a test left a callback subscribed"
    assert not emitter._subscriptions
