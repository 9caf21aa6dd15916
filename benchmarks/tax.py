"""What reliability and events cost: CPU time per job of a busy worker, with them on and off, in turn.

    python -m benchmarks.tax [--jobs 10000] [--rounds 25] [--concurrency 100] [memory sqlite]

Four ways to drain the same no-op jobs, one after the other in each round:

``off``         no leases, no fencing, no events, in so much as that can be had from outside (below).
``on``          a worker as it is; there is no subscriber.
``on, deaf``    the same, beside a subscriber to events that do not come.
``on, told``    the same, beside a subscriber that reads every event of every job.

What is off: renewing (a lease lasts for years, so the stage that renews sleeps, and what it asks at its start the store
answers without looking), watching for a blocked loop (it ticks with the lease), the sweep of the overdue, pruning,
and the comparison of seq and version in a settle (memory: of all of it; SQLite: of the version, in the statement).

What stays on, for it is woven into what a store keeps: that a claim writes ``run``, ``worker``, ``lease_until`` and
``version``, which inspection needs too; the worker's table of held jobs; asking whether an event is wanted.

A drain lasts for a second at most, in which a worker as it is renews, sweeps and prunes once: more often than in the
long run, where a lease of 15 s is renewed every 3.75 s.  CPU time is that of the process, SQLite's thread included.
What else the machine does can only add to it, so the least of each way is compared as well as the pairs of each round.

Leases and fencing cost less than what a busy machine does to these figures, and so does asking whether an event
is wanted.  A program that reads every event of every job pays for them, beyond the bar: there are two for each, and
each is built with a snapshot of its job, and received.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import trio

import trioq
from trioq.abc import Backend, Overdue, Renewed
from trioq.backends import memory
from trioq.backends.sqlite import queries
from trioq.events import Event

#: Seconds: so long that no lease is renewed.
FOR_YEARS: Final = 1e8

#: What the events and everything else together may take: on is at least so much of off.
BAR: Final = 0.95

MAKERS: Final[dict[str, Callable[[Path], Backend]]] = {
    "memory": lambda _: trioq.InMemoryBackend(),
    "sqlite": lambda folder: trioq.SQLiteBackend(folder / "jobs.db"),
}

#: The pattern of the subscriber, and whether leases and fencing are on.
WAYS: Final[dict[str, tuple[str | None, bool]]] = {
    "off": (None, False),
    "on": (None, True),
    "on, deaf": ("queue:*", True),
    "on, told": ("job:*", True),
}


# --- off ----------------------------------------------------------------------------------------


@contextmanager
def unfenced() -> Iterator[None]:
    """No settle compares what it is made from with what is there."""
    compared = {name: text for name, text in queries.SQL.items() if name.startswith("settle")}
    anything = {name: text.replace("AND version = ?", "AND ? IS NOT NULL") for name, text in compared.items()}
    assert all(anything[name] != text for name, text in compared.items())
    queries.settle.cache_clear()
    with patch.object(memory, "_matches", lambda *_: True), patch.dict(queries.SQL, anything):
        yield
    queries.settle.cache_clear()


def let_go(backend: Backend) -> None:
    """No lease is renewed or runs out, and nothing is pruned: the store answers so without looking."""

    async def renew(worker: Any, leases: Any) -> Renewed:
        await trio.lowlevel.checkpoint()
        return Renewed(time.time(), {})

    async def overdue(limit: int) -> Overdue:
        await trio.lowlevel.checkpoint()
        return Overdue(time.time(), ())

    async def prune(queues: Any, limits: Any, batch: int = 1_000) -> int:
        await trio.lowlevel.checkpoint()
        return 0

    vars(backend).update(renew=renew, overdue=overdue, prune=prune)


# --- a drain ------------------------------------------------------------------------------------


@asynccontextmanager
async def subscriber(pattern: str | None, jobs: int) -> AsyncIterator[trio.Event]:
    """A subscriber that reads all events that match, and loses none; set once no job's end is still to be read."""
    read = trio.Event()
    if pattern != "job:*":
        read.set()
    if pattern is None:
        yield read
        return
    async with trioq.event_emitter.subscribe(pattern, buffer=10**6) as events, trio.open_nursery() as nursery:
        nursery.start_soon(read_all, events, jobs, read)
        yield read
        nursery.cancel_scope.cancel()


async def read_all(events: trio.abc.ReceiveChannel[Event], jobs: int, read: trio.Event) -> None:
    async for event in events:
        jobs -= event.name == "job:completed"
        if not jobs:
            read.set()


async def drain(store: str, way: str, jobs: int, concurrency: int, folder: Path) -> float:
    """CPU microseconds per job, of jobs that were enqueued before."""
    pattern, reliable = WAYS[way]
    backend = MAKERS[store](folder)
    queue = trioq.Queue("tax", backend)

    @queue.task
    async def noop() -> None: ...

    if not reliable:
        let_go(backend)
    worker = trioq.Worker(queue, concurrency=concurrency, lease=None if reliable else FOR_YEARS)
    async with queue:
        await queue.enqueue_many(noop.bind() for _ in range(jobs))
        gc.collect()
        async with subscriber(pattern, jobs) as read:
            begun = time.process_time()
            await worker.run_until_idle()
            await read.wait()
            spent = time.process_time() - begun
        counts = await queue.counts()
    assert counts["completed"] == jobs, counts
    return spent / jobs * 1e6


def measure(store: str, way: str, jobs: int, concurrency: int) -> float:
    """One drain, in a store and a run of its own."""
    with tempfile.TemporaryDirectory() as folder:
        work = (drain, store, way, jobs, concurrency, Path(folder))
        if WAYS[way][1]:
            return trio.run(*work)
        with unfenced():
            return trio.run(*work)


# --- in turn ------------------------------------------------------------------------------------


def compare(store: str, jobs: int, rounds: int, concurrency: int) -> None:
    """Measure all ways so often, each round in another order, and print how each compares with ``off``."""
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in random.sample(list(WAYS), len(WAYS)):
            spent[way].append(measure(store, way, jobs, concurrency))
    print(f"{store}: CPU microseconds per job, and how much of it is left with all that off; the bar is {BAR}")
    for way, micros in spent.items():
        print(
            f"  {way:9} {statistics.median(micros):6.1f}   {min(spent['off']) / min(micros):.3f} of the least of all",
            end="",
        )
        print(f", {say([off / this for off, this in zip(spent['off'], micros, strict=True)])}")


def say(ratios: Sequence[float]) -> str:
    """The middle of the pairs, and how far they lie from each other."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} of the pairs (half in {low:.3f} to {high:.3f}, all in {min(ratios):.3f} to {max(ratios):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("stores", nargs="*", default=list(MAKERS), metavar="STORE", help="memory, sqlite or both")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--concurrency", type=int, default=100)
    options = parser.parse_args()
    for store in options.stores:
        compare(store, options.jobs, options.rounds, options.concurrency)


if __name__ == "__main__":
    main()
