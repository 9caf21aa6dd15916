"""What stays in Redis of many jobs: keys and memory, and whether a claim still costs the same.

    python -m benchmarks.redis_retention [--jobs 1000000] [--keep 1000] [--server redis-6.2]

A worker drains a tenth of the jobs at a time, each with a unique key and a time to live; then what is past retention is
pruned.  The last line should be the first one's twin.
"""

from __future__ import annotations

import argparse
import time
from itertools import count

import trio

import trioq
from tests.servers import PROGRAMS, Server
from trioq.abc import Retention
from trioq.backends.redis import RedisBackend


def memory_of(server: Server) -> float:
    """MiB that the server's data take."""
    lines = server.command("INFO", "memory").decode().splitlines()
    return int(next(line for line in lines if line.startswith("used_memory:")).partition(":")[2]) / 2**20


async def measure(server: Server, jobs: int, keep: int) -> None:
    """Drain and prune ten times, and print what stays."""
    backend = RedisBackend(server.url)
    queue = trioq.Queue("bench", backend=backend)

    @queue.task
    async def noop() -> None:
        pass

    limits = Retention(keep_completed=3600, keep_completed_max=keep, keep_dead=3600, keep_dead_max=keep)
    numbers = count()
    async with queue:
        for turn in range(1, 11):
            calls = (noop.options(unique_key=str(next(numbers)), ttl=3600).bind() for _ in range(jobs // 10))
            await queue.enqueue_many(calls)
            begun = time.perf_counter()
            await trioq.Worker(queue, concurrency=100).run_until_idle()
            rate = jobs / 10 / (time.perf_counter() - begun)
            while await backend.prune(limits):
                pass
            keys = int(server.command("DBSIZE")[1:])
            print(f"{turn * jobs // 10:9,} jobs: {keys:6,} keys, {memory_of(server):6.1f} MiB, {rate:8,.0f} jobs/s")


def main() -> None:
    """Start a server, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--keep", type=int, default=1_000)
    parser.add_argument("--server", choices=list(PROGRAMS), default=next(iter(PROGRAMS)))
    options = parser.parse_args()
    server = Server(PROGRAMS[options.server])
    try:
        trio.run(measure, server, options.jobs, options.keep)
    finally:
        server.close()


if __name__ == "__main__":
    main()
