"""arq on Redis with hiredis and uvloop, asked as protocol.py says.

Settings: those it comes with, and nothing logged.  It keeps results for an hour, and polls every 0.5 seconds, or as its
argument "poll" says: at concurrency 1 it runs one job each time.  It has no bulk API, so single calls run side by side.
"""

from __future__ import annotations

import asyncio

import uvloop
from arq import Worker, create_pool
from arq.connections import RedisSettings
from protocol import Record, Request, produce, side_by_side

request = Request.read()
record = Record(request)


async def job(_context: object, number: int, at: float, load: str) -> str:
    record.begin(number, at)
    if request.sleep:
        await asyncio.sleep(request.sleep)
    record.end()
    return load


async def main() -> None:
    redis = await create_pool(RedisSettings.from_dsn(request.url))

    async def enqueue(number: int) -> None:
        await redis.enqueue_job("job", *request.job(number), _defer_by=request.delay or None)

    async def send(numbers: range) -> None:
        await side_by_side(numbers, enqueue)

    if request.role == "produce":
        await produce(request, send, asyncio.sleep)
        await redis.aclose()
    else:
        poll = float(request.arguments.get("poll", "0.5"))
        worker = Worker([job], redis_pool=redis, max_jobs=request.concurrency, poll_delay=poll, log_results=False)
        record.watch()
        await worker.async_run()


uvloop.run(main())
