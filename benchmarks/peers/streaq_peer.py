"""streaq on Trio, or on asyncio with uvloop, asked as protocol.py says; its argument "loop" tells which.

Settings: as in its own benchmark, coredis' checks of types are off and uvloop is on; results are kept for an hour, and
workers fetch as many jobs ahead as run at once, which is its default.
"""

from __future__ import annotations

from datetime import timedelta

import anyio
import coredis
from protocol import Record, Request, produce
from streaq import Worker

request = Request.read()
record = Record(request)
loop = request.arguments["loop"]
coredis.Config.optimized = True
worker = Worker(redis_url=request.url, concurrency=request.concurrency, anyio_backend=loop)


@worker.task(ttl=timedelta(hours=1))
async def job(number: int, at: float, load: str) -> str:
    record.begin(number, at)
    if request.sleep:
        await anyio.sleep(request.sleep)
    record.end()
    return load


async def send(numbers: range) -> None:
    delay = timedelta(seconds=request.delay) if request.delay else None
    jobs = [job.enqueue(*request.job(number)).start(delay=delay) for number in numbers]
    if request.many:
        await worker.enqueue_many(jobs)
    else:
        await jobs[0]


async def main() -> None:
    if request.role == "produce":
        async with worker:
            await produce(request, send, anyio.sleep)
    else:
        record.watch()
        await worker.run_async()


anyio.run(main, backend=loop, backend_options={"use_uvloop": True} if loop == "asyncio" else {})
