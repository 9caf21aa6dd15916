"""No-op jobs through PostgreSQL, end to end; round trips per job; idle pick-up; and what a long backlog costs.

    python -m benchmarks.postgres [--jobs 20000] [--rounds 3] [--backlog 1000000] [--server postgresql-16]
        [--concurrency 100] [--set synchronous_commit=off]

It starts a server of its own, which flushes what it commits.  What any store is asked, ``benchmarks.redis`` measures:
the producer runs in a process of its own while the worker drains, then the same number is drained from a backlog.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import attrs
import psutil
import trio

import trioq
from benchmarks.redis import DELAY, IDLE_WORKER, end_to_end, make_queue
from tests.postgres_server import PROGRAMS, PostgresServer
from tests.postgres_stores import new_database

#: Those of a server whose data matter; a benchmark may say otherwise.
SETTINGS: Final = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB", "max_wal_size": "4GB"}

#: The shorter backlog.
FEW: Final = 1_000

#: Jobs that find an idle worker.
PICKUPS: Final = 200


@attrs.frozen
class Store:
    """A new database with nothing in it but trioq's tables."""

    server: PostgresServer
    url: str

    @classmethod
    def new(cls, server: PostgresServer) -> Store:
        return cls(server, new_database(server))

    def transactions(self) -> int:
        """How many there have been.  A statement of ours is one, and a round trip; few are several statements."""
        while self.server.connections("trioq"):  # they are counted once their connection has ended
            time.sleep(0.01)
        name = self.url.rpartition("/")[2]
        question = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
        [(count,)] = self.server.sql(question, name)
        return int(count)


def cpu_of(server: PostgresServer) -> float:
    """CPU seconds that the server has used, those of connections that have ended included."""
    first = psutil.Process(server.pid)
    total = first.cpu_times().children_user + first.cpu_times().children_system
    for process in (first, *first.children()):
        with suppress(psutil.NoSuchProcess):
            total += process.cpu_times().user + process.cpu_times().system
    return float(total)


async def drain(store: Store, jobs: int, concurrency: int) -> tuple[float, ...]:
    """Jobs a second out of a backlog; round trips per job; CPU seconds per job, here and in the server."""
    queue = make_queue(store.url)
    async with queue:
        await queue.enqueue_many(queue.tasks["noop"].bind() for _ in range(jobs))
    before = store.transactions()
    async with queue:
        start, here, there = time.perf_counter(), time.process_time(), cpu_of(store.server)
        await trioq.Worker(queue, concurrency=concurrency).run_until_idle()
        elapsed, here, there = time.perf_counter() - start, time.process_time() - here, cpu_of(store.server) - there
        assert (await queue.counts())["completed"] == jobs
    return jobs / elapsed, (store.transactions() - before) / jobs, here / jobs, there / jobs


async def fill(store: Store, jobs: int) -> float:
    """Let so many jobs wait; the bytes that each takes."""
    queue = make_queue(store.url)
    async with queue:
        await queue.enqueue_many(queue.tasks["noop"].bind() for _ in range(jobs))
    name = store.url.rpartition("/")[2]
    [(size,)] = store.server.sql("SELECT pg_database_size(%s) - pg_database_size('template1')", name)
    return float(size) / jobs


async def throughput(store: Store, jobs: int, concurrency: int) -> float:
    """Jobs a second while as many are enqueued as run, so that the backlog stays."""
    queue = make_queue(store.url)
    worker = trioq.Worker(queue, concurrency=concurrency)
    async with queue, trio.open_nursery() as nursery:
        start, fed = time.perf_counter(), 0
        await nursery.start(worker.start)
        while fed < jobs:
            missing = worker.statistics().completed - fed
            if missing < 100:
                await trio.sleep(0.002)
                continue
            await queue.enqueue_many(queue.tasks["noop"].bind() for _ in range(missing))
            fed += missing
        elapsed = time.perf_counter() - start
        worker.stop()
    return fed / elapsed


async def pick_up(store: Store, jobs: int, delay: float = 0.0) -> list[float]:
    """Milliseconds from right before enqueue to the handler in an idle worker's process, less a *delay* in seconds."""
    command = [sys.executable, "-c", IDLE_WORKER, store.url, str(jobs + 1)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        async with trioq.Queue("pickup", backend=store.url) as queue:
            first = await queue.enqueue("stamp", [time.monotonic()])
            await first.result()  # by now the process has come up
            for _ in range(jobs):
                await queue.enqueue("stamp", [time.monotonic() + delay], delay=delay)
                await trio.sleep(0.03)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return sorted(json.loads(printed)[1:])


def say_times(what: str, milliseconds: list[float]) -> None:
    """Print how they are spread."""
    p99 = milliseconds[int(len(milliseconds) * 0.99)]
    middle = statistics.median(milliseconds)
    print(f"{what:12} p50 {middle:.2f} ms  p99 {p99:.2f} ms  max {milliseconds[-1]:.2f} ms")


def say_rates(what: str, rates: Iterable[float]) -> None:
    """Print the best and the usual one."""
    rates = list(rates)
    print(f"{what:12} max {max(rates):8,.0f}  median {statistics.median(rates):8,.0f}  jobs/s")


def measure_jobs(server: PostgresServer, jobs: int, rounds: int, concurrency: int) -> None:
    """Both ways through the store, and what each costs."""
    both, drained = [], []
    for _ in range(rounds):
        both.append(trio.run(end_to_end, Store.new(server), jobs, concurrency))
        drained.append(trio.run(drain, Store.new(server), jobs, concurrency))
    say_rates("end to end", both)
    say_rates("drain", (rate for rate, *_ in drained))
    _, trips, here, there = drained[-1]
    print(f"per job      {trips:.4f} round trips, {here * 1e6:.0f} us CPU here, {there * 1e6:.0f} us in the server")


def measure_pick_up(server: PostgresServer) -> None:
    """How soon an idle worker of another process starts a job, and how late a delayed one is."""
    store = Store.new(server)
    say_times("pick-up", trio.run(pick_up, store, PICKUPS))
    say_times(f"{DELAY:g} s later", trio.run(pick_up, store, PICKUPS, DELAY))


def measure_backlog(server: PostgresServer, many: int, jobs: int, rounds: int, concurrency: int) -> None:
    """The same jobs beside few that wait, and beside many; in turns, for the machine may be busy."""
    stores = {size: Store.new(server) for size in (FEW, many)}
    rates: dict[int, list[float]] = {FEW: [], many: []}
    for size, store in stores.items():
        print(f"{size:9,} waiting take {trio.run(fill, store, size):,.0f} bytes each")
    for _ in range(rounds):
        for size, store in stores.items():
            rates[size].append(trio.run(throughput, store, jobs, concurrency))
    for size in stores:
        say_rates(f"{size:,}", rates[size])
    print(f"ratio        {statistics.median(rates[many]) / statistics.median(rates[FEW]):.2f}  (bar: 0.8)")


def start_server(name: str, settings: Iterable[str]) -> PostgresServer:
    """One that is asked in earnest; *settings* as on a command line."""
    return PostgresServer(PROGRAMS[name], **SETTINGS, **dict(setting.split("=", 1) for setting in settings))


def main() -> None:
    """Start a server, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--server", choices=list(PROGRAMS), default=next(iter(PROGRAMS)))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    options = parser.parse_args()
    server = start_server(options.server, options.set)
    try:
        measure_jobs(server, options.jobs, options.rounds, options.concurrency)
        measure_pick_up(server)
        measure_backlog(server, options.backlog, options.jobs, options.rounds, options.concurrency)
    finally:
        server.close()


if __name__ == "__main__":
    main()
