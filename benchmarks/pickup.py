"""Enqueue to start, in an idle SQLite worker of another process.

    python benchmarks/pickup.py [--jobs 200] [--folder DIR]

Both processes read the same monotonic clock (Linux), and the jobs come 20 ms apart.
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

WORKER = """
import sys, time, trio, trioq
queue = trioq.Queue("bench", backend="sqlite:" + sys.argv[1])
@queue.task
async def stamp(sent: float) -> float:
    return time.monotonic() - sent
trio.run(trioq.Worker(queue, handle_signals=True).start)
"""


async def measure(path: Path, jobs: int) -> list[float]:
    """Milliseconds from right before enqueue to the first line of the handler."""
    queue = trioq.Queue("bench", backend=f"sqlite:{path}")
    latencies = []
    async with queue:
        process = subprocess.Popen([sys.executable, "-c", WORKER, str(path)])
        try:
            for number in range(jobs + 1):
                job = await queue.enqueue("stamp", [time.monotonic()])
                latency = await job.result()
                if number:  # the first one waited for the process to come up
                    latencies.append(latency * 1e3)
                await trio.sleep(0.02)
        finally:
            process.terminate()
            process.wait()
    return sorted(latencies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--folder", help="on the disk to measure; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        latencies = trio.run(measure, Path(folder, "pickup.db"), options.jobs)
    p99 = latencies[int(len(latencies) * 0.99)]
    print(f"pick-up      p50 {statistics.median(latencies):.2f} ms  p99 {p99:.2f} ms  max {latencies[-1]:.2f} ms")


if __name__ == "__main__":
    main()
