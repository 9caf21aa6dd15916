"""Huey on SQLite, asked as protocol.py says.

Settings: SqliteHuey with its write-ahead log, which flushes each commit unless "fsync" among the arguments switches it
off; a thread for each job that may run at once where they sleep, else 8, with which it is faster; polling as by
default, from 0.1 to 10 seconds.  It has no bulk API.
"""

from __future__ import annotations

import asyncio
import time

from huey import SqliteHuey
from protocol import Record, Request, produce

request = Request.read()
record = Record(request)
huey = SqliteHuey(
    "peer", filename=request.url.removeprefix("sqlite:"), fsync=False if "fsync" in request.arguments else None
)


@huey.task(name="job")
def job(number: int, at: float, load: str) -> str:
    record.begin(number, at)
    if request.sleep:
        time.sleep(request.sleep)
    record.end()
    return load


async def send(numbers: range) -> None:
    for number in numbers:
        if request.delay:
            job.schedule(request.job(number), delay=request.delay)
        else:
            job(*request.job(number))


if request.role == "produce":
    asyncio.run(produce(request, send, asyncio.sleep))
else:
    record.watch()
    huey.create_consumer(workers=request.concurrency if request.sleep else min(request.concurrency, 8)).run()
