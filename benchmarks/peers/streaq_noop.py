"""streaq on Trio as its documentation shows it, for redis_peers.py: ``streaq_noop.py PORT JOBS CONCURRENCY``.

One worker process drains no-op jobs from a backlog; it prints jobs a second, up to the last handler.
"""

from __future__ import annotations

import os
import sys
import time

import trio
from streaq import Worker

PORT, JOBS, CONCURRENCY = map(int, sys.argv[1:])

worker = Worker(redis_url=f"redis://127.0.0.1:{PORT}", concurrency=CONCURRENCY, anyio_backend="trio")
left = iter(range(JOBS, 0, -1))
all_ran = trio.Event()


@worker.task
async def noop() -> None:
    if next(left) == 1:
        all_ran.set()


async def main() -> None:
    async with worker:
        for first in range(0, JOBS, 1_000):
            await worker.enqueue_many([noop.enqueue() for _ in range(min(1_000, JOBS - first))])
    async with trio.open_nursery() as nursery:
        begun = time.perf_counter()
        nursery.start_soon(worker.run_async)
        await all_ran.wait()
        print(JOBS / (time.perf_counter() - begun), flush=True)
        os._exit(0)  # a worker that was cancelled does not always end, and how it ends isn't measured


trio.run(main)
