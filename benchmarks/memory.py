"""No-op jobs on the memory backend, against the bare loop: both in turn, in one process, several times.

    python benchmarks/memory.py [--jobs 5000] [--rounds 25] [--concurrency 100]

CPU time is measured, for the wall clock of a shared machine says little.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Awaitable, Callable

import bare_loop
import trio

import trioq


async def cpu_per_job(work: Callable[[], Awaitable[object]], jobs: int) -> float:
    """Microseconds of this thread per job."""
    gc.collect()
    start = time.thread_time()
    await work()
    return (time.thread_time() - start) / jobs * 1e6


async def drain_trioq(jobs: int, concurrency: int) -> tuple[float, float]:
    """Microseconds and backend calls per job, for jobs that were enqueued before."""
    backend = CountingBackend()
    queue = trioq.Queue("bench", backend=backend)

    @queue.task
    async def noop() -> None:
        pass

    async with queue:
        await queue.enqueue_many(noop.bind() for _ in range(jobs))
        backend.calls = 0
        micros = await cpu_per_job(trioq.Worker(queue, concurrency=concurrency).run_until_idle, jobs)
        counts = await queue.counts()
    assert counts["completed"] == jobs, counts
    return micros, backend.calls / jobs


class CountingBackend(trioq.InMemoryBackend):
    """Counts the calls that a worker makes for its jobs."""

    calls = 0

    async def claim(self, *args, **kwargs):
        self.calls += 1
        return await super().claim(*args, **kwargs)

    async def settle(self, *args, **kwargs):
        self.calls += 1
        return await super().settle(*args, **kwargs)

    async def renew(self, *args, **kwargs):
        self.calls += 1
        return await super().renew(*args, **kwargs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--concurrency", type=int, default=100)
    options = parser.parse_args()
    bare, ours, calls = [], [], []
    for _ in range(options.rounds):
        loop = lambda: bare_loop.drain(options.jobs, options.concurrency)  # noqa: E731
        bare.append(trio.run(cpu_per_job, loop, options.jobs))
        micros, per_job = trio.run(drain_trioq, options.jobs, options.concurrency)
        ours.append(micros)
        calls.append(per_job)
    ratios = [one / other for one, other in zip(bare, ours, strict=True)]
    print(f"bare loop    min {min(bare):6.1f}  median {statistics.median(bare):6.1f}  us/job")
    print(f"trioq        min {min(ours):6.1f}  median {statistics.median(ours):6.1f}  us/job")
    print(f"ratio        minima {min(bare) / min(ours):.2f}  median of the pairs {statistics.median(ratios):.2f}")
    print(f"backend calls per job, median: {statistics.median(calls):.3f}")


if __name__ == "__main__":
    main()
