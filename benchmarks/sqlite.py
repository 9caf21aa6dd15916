"""No-op jobs through SQLite at synchronous=FULL, end to end: enqueue, claim, run, settle; and calls per job.

    python benchmarks/sqlite.py [--jobs 20000] [--rounds 3] [--folder DIR]

The producer runs in a process of its own and enqueues one batch of 1,000 after the other while the worker drains;
then the same number is drained from a backlog.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

import trioq

PRODUCER = """
import sys, trio, trioq
queue = trioq.Queue("bench", backend="sqlite:" + sys.argv[1])
@queue.task
async def noop(): pass
async def main():
    async with queue:
        await queue.enqueue_many(noop.bind() for _ in range(int(sys.argv[2])))
trio.run(main)
"""


def make_queue(path: Path) -> trioq.Queue:
    queue = trioq.Queue("bench", backend=f"sqlite:{path}")

    @queue.task
    async def noop() -> None:
        pass

    return queue


async def end_to_end(path: Path, jobs: int) -> float:
    """Jobs a second from the first enqueue, in another process, to the last settle."""
    queue = make_queue(path)
    async with queue, trio.open_nursery() as nursery:
        worker = trioq.Worker(queue, concurrency=100)
        await nursery.start(worker.start)
        process = subprocess.Popen([sys.executable, "-c", PRODUCER, str(path), str(jobs)])
        while worker.statistics().claimed == 0:
            await trio.sleep(0.001)
        start = time.perf_counter()
        while worker.statistics().completed < jobs:
            await trio.sleep(0.005)
        elapsed = time.perf_counter() - start
        worker.stop()
        process.wait()
    return jobs / elapsed


async def drain(path: Path, jobs: int) -> tuple[float, float]:
    """Jobs a second out of a backlog, and backend calls per job."""
    queue = make_queue(path)
    calls = 0
    async with queue:
        await queue.enqueue_many(queue.tasks["noop"].bind() for _ in range(jobs))
        backend = queue.backend
        claim, settle = backend.claim, backend.settle

        async def count_claim(*args):
            nonlocal calls
            calls += 1
            return await claim(*args)

        async def count_settle(*args):
            nonlocal calls
            calls += 1
            return await settle(*args)

        backend.claim, backend.settle = count_claim, count_settle
        start = time.perf_counter()
        await trioq.Worker(queue, concurrency=100).run_until_idle()
        elapsed = time.perf_counter() - start
    return jobs / elapsed, calls / jobs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="on the disk to measure; a temporary folder by default")
    options = parser.parse_args()
    both, drained = [], []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for turn in range(options.rounds):
            both.append(trio.run(end_to_end, Path(folder, f"both{turn}.db"), options.jobs))
            drained.append(trio.run(drain, Path(folder, f"drain{turn}.db"), options.jobs))
    print(f"end to end   max {max(both):8,.0f}  median {statistics.median(both):8,.0f}  jobs/s")
    rates = [rate for rate, _ in drained]
    print(f"drain        max {max(rates):8,.0f}  median {statistics.median(rates):8,.0f}  jobs/s")
    print(f"backend calls per job while draining: {statistics.median(calls for _, calls in drained):.3f}")


if __name__ == "__main__":
    main()
