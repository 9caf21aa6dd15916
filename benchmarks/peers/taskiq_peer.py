"""taskiq on Redis streams with hiredis and uvloop, asked as protocol.py says.

Settings: the broker on streams, the one of taskiq-redis that acknowledges, which fetches 100 jobs at once; results kept
for an hour.  It has no bulk API, so single calls run side by side.
"""

from __future__ import annotations

import asyncio

import uvloop
from protocol import Record, Request, produce, side_by_side, unsupported
from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

request = Request.read()
record = Record(request)
results = RedisAsyncResultBackend(request.url, result_ex_time=3600)
broker = RedisStreamBroker(request.url).with_result_backend(results)


@broker.task(task_name="job")
async def job(number: int, at: float, load: str) -> str:
    record.begin(number, at)
    if request.sleep:
        await asyncio.sleep(request.sleep)
    record.end()
    return load


async def enqueue(number: int) -> None:
    await job.kiq(*request.job(number))


async def send(numbers: range) -> None:
    await side_by_side(numbers, enqueue)


async def main() -> None:
    if request.delay:
        unsupported("taskiq on Redis delays jobs only by a scheduler in a process of its own")
    broker.is_worker_process = request.role == "work"
    await broker.startup()
    if request.role == "produce":
        await produce(request, send, asyncio.sleep)
        await broker.shutdown()
    else:
        record.watch()
        await run_receiver_task(broker, max_async_tasks=request.concurrency)


uvloop.run(main())
