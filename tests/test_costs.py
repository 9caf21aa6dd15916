"""What a job costs, counted: round trips, calls of the backend, steps and tasks of Trio.  Times are never judged.

A bar is a little above what was counted when it was set: what makes jobs dearer by a third is noticed, on a busy
machine as on an idle one.  Who makes them cheaper lowers it.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests import postgres_server, servers
from tests.meter import metered
from tests.postgres_stores import new_backend
from trioq import InMemoryBackend, Queue, RedisBackend, SQLiteBackend, Worker
from trioq.abc import Backend
from trioq.backends.postgres import listener as postgres_listener
from trioq.backends.redis import listener as redis_listener

pytestmark = pytest.mark.slow

#: What is counted does not depend on a server's version, so one of each kind is asked.
STORES: Final[dict[str, Callable[[Path], Backend]]] = {
    "memory": lambda folder: InMemoryBackend(),
    "sqlite": lambda folder: SQLiteBackend(folder / "jobs.db"),
    "redis": lambda folder: RedisBackend(servers.shared(next(iter(servers.PROGRAMS))).url, prefix=folder.name),
    "postgres": lambda folder: new_backend(postgres_server.shared()),
}

#: How often it is counted, at most.  On a busy machine a late answer may be doubted, and the store be asked once more;
#: what is always asked is there each time.
TRIES: Final = 4

#: How many times as fast as the machine's the clock runs while a worker idles.
HASTE: Final = 10


@attrs.frozen
class Bars:
    """The most that a job may cost."""

    trips: float  #: those that only carry a hint are not among them
    calls: float
    steps: float
    tasks: float


#: By the store, and the worker's concurrency.
BARS: Final = {
    ("memory", 100): Bars(trips=0.05, calls=0.05, steps=1.3, tasks=1.05),
    ("memory", 10): Bars(trips=0.24, calls=0.24, steps=2.3, tasks=1.1),
    ("sqlite", 100): Bars(trips=0.05, calls=0.06, steps=1.4, tasks=1.05),
    ("sqlite", 10): Bars(trips=0.18, calls=0.25, steps=2.6, tasks=1.1),
    ("redis", 100): Bars(trips=0.05, calls=0.05, steps=1.3, tasks=1.05),
    ("redis", 10): Bars(trips=0.25, calls=0.25, steps=2.3, tasks=1.1),
    ("postgres", 100): Bars(trips=0.05, calls=0.05, steps=1.3, tasks=1.05),
    ("postgres", 10): Bars(trips=0.26, calls=0.25, steps=2.3, tasks=1.1),
}

#: What goes to the server in an idle minute besides a worker's questions.  Redis must prove twice a second that it
#: is there; PostgreSQL, now and then, that its notifications arrive.
PROOFS: Final = {"memory": 0, "sqlite": 0, "redis": 120, "postgres": 6}


@pytest.fixture(autouse=True)
def usual_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks take their turns as under a plain ``trio.run``, by the same dice each time.

    How many outcomes go together depends on it, and for Hypothesis' sake pytest-trio has Trio shuffle them all.
    """
    monkeypatch.setattr("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING", False)
    monkeypatch.setattr("trio._core._run._r", random.Random(7))


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def clock(store: str, monkeypatch: pytest.MonkeyPatch) -> trio.abc.Clock:
    """What makes an idle minute short.  A server has as long to prove that it is there as it would have without."""
    for listener in (postgres_listener, redis_listener):
        monkeypatch.setattr(listener, "_DOUBT", listener._DOUBT * HASTE)
    return MockClock(autojump_threshold=0) if store == "memory" else MockClock(rate=HASTE)


@pytest.fixture
def queue(store: str, tmp_path: Path) -> Queue:
    queue = Queue("q", STORES[store](tmp_path))

    @queue.task
    async def noop() -> None: ...

    return queue


@pytest.fixture
async def meter(store: str, queue: Queue) -> AsyncIterator[Callable[[], Any]]:
    """Begins to count, over a store that was asked before: its connections stand, and its statements are known."""
    async with queue:
        await enqueue(queue, 200)
        await Worker(queue, concurrency=100).run_until_idle()
        yield partial(metered, store, queue.backend)


async def enqueue(queue: Queue, count: int) -> None:
    await queue.enqueue_many(queue.tasks["noop"].bind() for _ in range(count))


async def assert_within(bars: Mapping[str, float], spend: Callable[[], Awaitable[Mapping[str, float]]]) -> None:
    """What is spent is within the bars, once at least."""
    for _ in range(TRIES):
        spent = await spend()
        above = {name: f"{spent[name]:.3f}, above {bar}" for name, bar in bars.items() if spent[name] > bar}
        if not above:
            return
    assert not above


@pytest.mark.parametrize(("concurrency", "jobs"), [(100, 2_000), (10, 500)])
async def test_a_job_of_a_busy_worker_costs_no_more_than_it_did(
    store: str, queue: Queue, meter: Callable[[], Any], concurrency: int, jobs: int
) -> None:
    async def drain() -> dict[str, float]:
        await enqueue(queue, jobs)
        with meter() as spent:
            await Worker(queue, concurrency=concurrency).run_until_idle()
        assert (await queue.counts())["waiting"] == 0
        spent.trips -= spent.hints
        return {name: total / jobs for name, total in attrs.asdict(spent).items()}

    bars = BARS[store, concurrency]
    await assert_within(attrs.asdict(bars), drain)
    assert bars.trips <= (0.1 if concurrency == 100 else 0.3), "the design allows no more"


async def test_a_thousand_jobs_are_enqueued_in_one_round_trip(queue: Queue, meter: Callable[[], Any]) -> None:
    async def enqueue_many() -> dict[str, float]:
        with meter() as spent:
            await enqueue(queue, 1_000)
        return {"calls": spent.calls, "trips": spent.trips - spent.hints}

    await assert_within({"calls": 1, "trips": 1}, enqueue_many)


async def test_jobs_that_are_enqueued_one_by_one_at_the_same_time_go_together(
    store: str, queue: Queue, meter: Callable[[], Any]
) -> None:
    async def enqueue_each() -> dict[str, float]:
        with meter() as spent:
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(queue.tasks["noop"].enqueue)
        return attrs.asdict(spent)

    trips = 100 if store == "memory" else 6  # there is no way to go, and nothing to save
    await assert_within({"trips": trips, "steps": 360, "tasks": 110}, enqueue_each)


async def test_an_idle_worker_asks_the_store_at_most_once_a_second(
    clock: trio.abc.Clock, store: str, queue: Queue, meter: Callable[[], Any], at_work: Any
) -> None:
    async def idle_for_a_minute() -> dict[str, float]:
        with meter() as spent:
            await trio.sleep(60)
        return {"calls": spent.calls, "proofs": spent.trips - spent.calls}

    async with at_work(Worker(queue)):
        await assert_within({"calls": 60, "proofs": PROOFS[store]}, idle_for_a_minute)
