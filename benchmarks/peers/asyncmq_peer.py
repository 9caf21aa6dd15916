"""AsyncMQ on Redis with hiredis, or in memory, on asyncio with uvloop; asked as protocol.py says.

Settings: those it comes with; idle, it polls every 0.05 to 2 seconds.  Its bulk API adds one after another, so single
adds run side by side instead.  In memory a worker enqueues its jobs itself, before it runs.
"""

from __future__ import annotations

import asyncio
import logging

import uvloop
from asyncmq.backends.memory import InMemoryBackend
from asyncmq.backends.redis import RedisBackend
from asyncmq.queues import Queue
from asyncmq.tasks import task
from protocol import Record, Request, produce, side_by_side, unsupported

request = Request.read()
record = Record(request)
logging.disable(logging.WARNING)  # it would log each delayed job, and let all others say what they do
in_memory = request.url == "memory:"
queue = Queue("peer", InMemoryBackend() if in_memory else RedisBackend(request.url), concurrency=request.concurrency)


@task(queue="peer")
async def job(number: int, at: float, load: str) -> str:
    record.begin(number, at)
    if request.sleep:
        await asyncio.sleep(request.sleep)
    record.end()
    return load


async def enqueue(number: int) -> None:
    await queue.add(job.task_id, list(request.job(number)), delay=request.delay or None)


async def send(numbers: range) -> None:
    await side_by_side(numbers, enqueue)


async def main() -> None:
    if in_memory and (request.role == "produce" or request.gap):
        unsupported("what it has in memory no other process sees")
    if request.role == "produce":
        await produce(request, send, asyncio.sleep)
    else:
        for numbers in request.chunks() if in_memory else ():
            await send(numbers)
        record.watch()
        await queue.run()


uvloop.run(main())
