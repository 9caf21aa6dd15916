"""Oban for Python on psycopg and uvloop, asked as protocol.py says.

Settings: psycopg's C code and Oban's pool of up to 10 connections, one queue whose limit is the concurrency asked for,
acknowledgements in batches as it does by itself; jobs that are over are pruned after an hour.  Loads are kept
by its Record.
"""

from __future__ import annotations

import asyncio

import oban
import uvloop
from oban.schema import install
from protocol import Record, Request, produce

request = Request.read()
record = Record(request)


@oban.worker(queue="peer")
class Peer:
    async def process(self, job: oban.Job) -> oban.Record | None:
        number, at, load = job.args["job"]
        record.begin(number, at)
        if request.sleep:
            await asyncio.sleep(request.sleep)
        record.end()
        return oban.Record(load) if load else None


async def send(numbers: range) -> None:
    delay = {"scheduled_in": request.delay} if request.delay else {}
    jobs = [Peer.new({"job": request.job(number)}, **delay) for number in numbers]
    await oban.Oban.get_instance().enqueue_many(jobs)


async def main() -> None:
    pool = await oban.Oban.create_pool(request.url)
    async with pool.connection() as connection:
        found = await connection.execute("SELECT to_regclass('oban_jobs') IS NOT NULL")
        installed = await found.fetchone() == (True,)
    if not installed:
        await install(pool)
    if request.role == "produce":
        async with oban.Oban(pool=pool):
            await produce(request, send, asyncio.sleep)
        await pool.close()
    else:
        async with oban.Oban(pool=pool, queues={"peer": request.concurrency}, pruner={"max_age": 3600}):
            record.watch()
            await asyncio.sleep(float("inf"))


uvloop.run(main())
