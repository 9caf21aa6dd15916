"""Huey on SQLite, asked as protocol.py says.

Settings: SqliteHuey with its write-ahead log, and flushing switched off, unless "fsync" among the arguments has each
commit flushed, as trioq does; a worker thread for each job that may run at once; polling as by default, from 0.1 to 10
seconds.  It has no bulk API.
"""

from __future__ import annotations

import asyncio
import time

from huey import SqliteHuey
from protocol import Record, Request, produce

request = Request.read()
record = Record(request)
huey = SqliteHuey("peer", filename=request.url.removeprefix("sqlite:"), fsync="fsync" in request.arguments)


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
    huey.create_consumer(workers=request.concurrency).run()
