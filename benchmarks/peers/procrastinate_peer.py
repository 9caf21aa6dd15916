"""Procrastinate on psycopg and uvloop, asked as protocol.py says.

Settings: its asynchronous connector with psycopg's C code and pool, jobs deferred in batches, concurrency as asked,
LISTEN and the poll every 5 seconds beside it as they are by default, and so is that jobs which are over are kept.
"""

from __future__ import annotations

import asyncio
import logging

import uvloop
from procrastinate import App, PsycopgConnector
from protocol import Record, Request, produce, unsupported

request = Request.read()
record = Record(request)
logging.getLogger("procrastinate").setLevel(logging.ERROR)  # it would have the app in a module of its own
app = App(connector=PsycopgConnector(conninfo=request.url))


@app.task(name="job")
async def job(number: int, at: float, load: str) -> None:
    record.begin(number, at)
    if request.sleep:
        await asyncio.sleep(request.sleep)
    record.end()


async def send(numbers: range) -> None:
    delay = {"seconds": request.delay} if request.delay else None
    jobs = [dict(zip(("number", "at", "load"), request.job(number), strict=True)) for number in numbers]
    await job.configure(schedule_in=delay).batch_defer_async(*jobs)


async def main() -> None:
    if request.size:
        unsupported("Procrastinate keeps no results")
    async with app.open_async():
        if not await app.check_connection_async():  # its tables are missing
            await app.schema_manager.apply_schema_async()
        if request.role == "produce":
            await produce(request, send, asyncio.sleep)
        else:
            record.watch()
            await app.run_worker_async(concurrency=request.concurrency, install_signal_handlers=False)


uvloop.run(main())
