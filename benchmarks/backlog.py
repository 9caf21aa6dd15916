"""How long a claim takes with 1,000 waiting jobs, and with a million.

    python benchmarks/backlog.py [--jobs 1000000] [--rounds 200] [--folder DIR]

Claims of 100 jobs on one SQLite file, each followed by the settle that releases them, so that the backlog stays.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import trio

import trioq
from trioq.lifecycle import Release, step


async def claim_times(path: Path, jobs: int, rounds: int) -> list[float]:
    """Milliseconds of each claim of 100."""
    queue = trioq.Queue("bench", backend=f"sqlite:{path}")

    @queue.task
    async def noop() -> None:
        pass

    times = []
    async with queue:
        await queue.enqueue_many(noop.bind() for _ in range(jobs))
        for _ in range(rounds):
            start = time.perf_counter()
            reply = await queue.backend.claim(["bench"], 100, "bench", 15, idle=True)
            times.append((time.perf_counter() - start) * 1e3)
            await queue.backend.settle([step(job, Release(), reply.now) for job in reply.jobs])
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--folder", help="on the disk to measure; a temporary folder by default")
    options = parser.parse_args()
    medians = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for jobs in (1_000, options.jobs):
            times = trio.run(claim_times, Path(folder, f"{jobs}.db"), jobs, options.rounds)
            medians[jobs] = statistics.median(times)
            print(f"{jobs:9,} waiting: claim of 100  median {medians[jobs]:.2f} ms  min {min(times):.2f} ms")
    print(f"ratio of the medians: {medians[options.jobs] / medians[1_000]:.2f}")


if __name__ == "__main__":
    main()
