"""SAQ on Redis with hiredis and uvloop, asked as protocol.py says.

Settings: those it comes with, and results kept for an hour.  It blocks for jobs and doesn't poll, but looks for those
that are due once a second, and knows whole seconds.  It has no bulk API, so single calls run side by side.
"""

from __future__ import annotations

import asyncio
import math
import time

import uvloop
from protocol import Record, Request, produce, side_by_side
from saq import Queue, Worker

request = Request.read()
record = Record(request)
queue = Queue.from_url(request.url)


async def job(_context: object, *, number: int, at: float, load: str) -> str:
    record.begin(number, at)
    if request.sleep:
        await asyncio.sleep(request.sleep)
    record.end()
    return load


async def enqueue(number: int) -> None:
    due = math.ceil(time.time() + request.delay) if request.delay else 0
    _, at, load = request.job(number)
    await queue.enqueue("job", number=number, at=at, load=load, scheduled=due, ttl=3600)


async def send(numbers: range) -> None:
    await side_by_side(numbers, enqueue)


async def main() -> None:
    await queue.connect()
    if request.role == "produce":
        await produce(request, send, asyncio.sleep)
        await queue.disconnect()
    else:
        record.watch()
        await Worker(queue, [job], concurrency=request.concurrency).start()


uvloop.run(main())
