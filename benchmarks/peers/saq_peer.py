"""SAQ on Redis with hiredis and uvloop, asked as protocol.py says.

Settings: those it comes with, and results kept for an hour.  It blocks for jobs and doesn't poll, but looks for those
that are due once a second, and knows whole seconds.  It has no bulk API, so single calls run side by side.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator

import uvloop
from protocol import Record, Request, produce
from saq import Queue, Worker

SENDERS = 32

request = Request.read()
record = Record(request)
queue = Queue.from_url(request.url)


async def job(_context: object, *, number: int, at: float, load: str) -> str:
    record.begin(number, at)
    if request.sleep:
        await asyncio.sleep(request.sleep)
    record.end()
    return load


async def enqueue(left: Iterator[int]) -> None:
    for number in left:
        due = math.ceil(time.time() + request.delay) if request.delay else 0
        _, at, load = request.job(number)
        await queue.enqueue("job", number=number, at=at, load=load, scheduled=due, ttl=3600)


async def send(numbers: range) -> None:
    left = iter(numbers)
    await asyncio.gather(*(enqueue(left) for _ in range(min(SENDERS, len(numbers)))))


async def main() -> None:
    await queue.connect()
    if request.role == "produce":
        await produce(request, send, asyncio.sleep)
        await queue.disconnect()
    else:
        record.watch()
        await Worker(queue, [job], concurrency=request.concurrency).start()


uvloop.run(main())
