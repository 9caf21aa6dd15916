"""PgQueuer on asyncpg and uvloop, asked as protocol.py says.

Settings: asyncpg, its faster driver, on one connection; batches of 100, or of as many as may run at once, which it
fetches and settles at a time: twice as fast as its default of 10.  Its limit for what runs can't be less than two
batches, so up to twice as many run as are asked for.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from protocol import Record, Request, produce, unsupported

BATCH = 100

request = Request.read()
record = Record(request)


async def job(job: Job) -> None:
    number, at, _load = json.loads(job.payload or b"")
    record.begin(number, at)
    if request.sleep:
        await asyncio.sleep(request.sleep)
    record.end()


async def main() -> None:
    if request.size:
        unsupported("PgQueuer keeps no results")
    driver = AsyncpgDriver(await asyncpg.connect(request.url))
    queries = Queries(driver)
    if not await queries.schema_is_installed():
        await queries.install()

    async def send(numbers: range) -> None:
        payloads = [json.dumps(request.job(number)).encode() for number in numbers]
        count, delay = len(numbers), timedelta(seconds=request.delay)
        await queries.enqueue(["job"] * count, payloads, [0] * count, [delay] * count)

    if request.role == "produce":
        await produce(request, send, asyncio.sleep)
    else:
        worker = PgQueuer(driver)
        worker.entrypoint("job")(job)
        record.watch()
        batch = min(request.concurrency, BATCH)
        await worker.run(batch_size=batch, max_concurrent_tasks=2 * batch)


uvloop.run(main())
