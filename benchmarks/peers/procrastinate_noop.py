"""Procrastinate as its documentation shows it, for postgres_peers.py: ``procrastinate_noop.py URL JOBS CONCURRENCY``.

One worker process drains no-op jobs from a backlog; it prints jobs a second, once each has run once and is settled.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter

from procrastinate import App, PsycopgConnector

URL, JOBS, CONCURRENCY = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

logging.getLogger("procrastinate").setLevel(logging.ERROR)  # it would have the app in a module of its own
app = App(connector=PsycopgConnector(conninfo=URL))
ran: Counter[int] = Counter()


@app.task
async def noop(number: int) -> None:
    ran[number] += 1


async def main() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(0, JOBS, 1_000):
            await noop.batch_defer_async(*({"number": number} for number in range(first, min(first + 1_000, JOBS))))
        begun = time.perf_counter()
        await app.run_worker_async(wait=False, concurrency=CONCURRENCY, install_signal_handlers=False)
        print(JOBS / (time.perf_counter() - begun))
    assert ran == Counter(range(JOBS)), "a job ran twice, or never"


asyncio.run(main())
