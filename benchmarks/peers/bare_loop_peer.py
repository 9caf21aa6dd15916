"""No job queue: the limit for any worker on Trio.  A loop that spawns a task with a cancel scope and deadline per job.

Jobs are taken in batches from an iterator, and free slots are an integer: no channel, no limiter, no store.
"""

from __future__ import annotations

from itertools import islice

import trio
from protocol import Record, Request, unsupported

request = Request.read()
record = Record(request)
if request.role == "produce" or request.delay or request.gap:
    unsupported("it has no store")


async def handle(number: int, at: float, load: str) -> str:
    record.begin(number, at)
    if request.sleep:
        await trio.sleep(request.sleep)
    record.end()
    return load


async def main() -> None:
    jobs = iter([request.job(number) for number in range(request.jobs)])
    free, a_slot = request.concurrency, trio.Event()

    async def run(job: tuple[int, float, str]) -> None:
        nonlocal free
        with trio.CancelScope(deadline=trio.current_time() + 60):
            await handle(*job)
        free += 1
        a_slot.set()

    record.watch()
    async with trio.open_nursery() as nursery:
        while batch := list(islice(jobs, free)):
            await trio.lowlevel.checkpoint()  # where a worker would ask its store
            free -= len(batch)
            for job in batch:
                nursery.start_soon(run, job)
            if not free:
                a_slot = trio.Event()
                await a_slot.wait()
    await trio.sleep_forever()


trio.run(main)
