"""The limit for any worker on Trio: a bare loop that spawns one task with a cancel scope and a deadline per job.

Batch fetch, an integer counter, no channel, no limiter, no store: what remains is what Trio itself costs.
"""

from __future__ import annotations

import trio


async def drain(jobs: int, concurrency: int) -> None:
    """Run *jobs* no-op handlers, at most *concurrency* at once."""
    free = concurrency
    started = ended = 0
    wake = trio.Event()

    async def handler() -> None:
        pass

    async def run(seconds: float) -> None:
        nonlocal free, ended
        with trio.CancelScope(deadline=trio.current_time() + seconds):
            await handler()
        free += 1
        ended += 1
        wake.set()

    async with trio.open_nursery() as nursery:
        while started < jobs:
            batch = min(free, jobs - started)
            if not batch:
                wake = trio.Event()
                await wake.wait()
                continue
            await trio.lowlevel.checkpoint()  # the fetch
            for _ in range(batch):
                nursery.start_soon(run, 60)
            started += batch
            free -= batch
