"""PgQueuer as its documentation shows it, on asyncpg and uvloop, for postgres_peers.py.

pgqueuer_noop.py URL drain JOBS BATCH   prints jobs a second out of a backlog, once each has run once and is settled
pgqueuer_noop.py URL work JOBS          prints milliseconds from right before enqueue to the handler, for each job
pgqueuer_noop.py URL send JOBS          enqueues them, one every 30 ms
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver

URL, WHAT, JOBS = sys.argv[1], sys.argv[2], int(sys.argv[3])


async def drain() -> None:
    connection, look = await asyncpg.connect(URL), await asyncpg.connect(URL)
    manager = PgQueuer(AsyncpgDriver(connection))
    queries = Queries(AsyncpgDriver(look))
    await queries.install()
    ran: Counter[int] = Counter()

    @manager.entrypoint("noop")
    async def noop(job) -> None:
        ran[int(job.payload)] += 1

    for first in range(0, JOBS, 1_000):
        numbers = range(first, min(first + 1_000, JOBS))
        await queries.enqueue(["noop"] * len(numbers), [b"%d" % number for number in numbers], [0] * len(numbers))
    begun = time.perf_counter()
    running = asyncio.create_task(manager.run(batch_size=int(sys.argv[4])))
    while await look.fetchval("SELECT EXISTS (SELECT FROM pgqueuer)"):
        await asyncio.sleep(0.01)
    rate = JOBS / (time.perf_counter() - begun)
    manager.shutdown.set()
    await running
    assert ran == Counter(range(JOBS)), "a job ran twice, or never"
    print(rate)


async def work() -> None:
    manager = PgQueuer(AsyncpgDriver(await asyncpg.connect(URL)))
    await Queries(AsyncpgDriver(await asyncpg.connect(URL))).install()
    latencies: list[float] = []

    @manager.entrypoint("stamp")
    async def stamp(job) -> None:
        latencies.append((time.monotonic() - float(job.payload)) * 1e3)
        if len(latencies) == JOBS:
            manager.shutdown.set()

    print("ready", flush=True)
    await manager.run()
    print(json.dumps(latencies))


async def send() -> None:
    queries = Queries(AsyncpgDriver(await asyncpg.connect(URL)))
    for _ in range(JOBS):
        await queries.enqueue("stamp", repr(time.monotonic()).encode())
        await asyncio.sleep(0.03)


uvloop.run({"drain": drain, "work": work, "send": send}[WHAT]())
