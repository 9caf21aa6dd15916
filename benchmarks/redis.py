"""No-op jobs through Redis, end to end; requests and commands per job; idle pick-up, and how late delayed jobs are.

    python -m benchmarks.redis [--jobs 20000] [--rounds 3] [--server redis-6.2] [--concurrency 100]

It starts a server of its own, without persistence.  The producer runs in a process of its own and enqueues one batch of
1,000 after the other while the worker drains; then the same number is drained from a backlog.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

import trio

import trioq
from tests.servers import PROGRAMS, Server

PRODUCER = """
import sys, trio, trioq
queue = trioq.Queue("bench", backend=sys.argv[1])
@queue.task
async def noop(): pass
async def main():
    async with queue:
        await queue.enqueue_many(noop.bind() for _ in range(int(sys.argv[2])))
trio.run(main)
"""

IDLE_WORKER = """
import json, sys, time, trio, trioq
queue = trioq.Queue("pickup", backend=sys.argv[1])
latencies = []
@queue.task
async def stamp(sent: float) -> None:
    latencies.append((time.monotonic() - sent) * 1e3)
    if len(latencies) == int(sys.argv[2]):
        worker.stop()
worker = trioq.Worker(queue)
trio.run(worker.start)
print(json.dumps(latencies))
"""


#: Seconds: longer than the second that a worker would take which only polls.
DELAY = 2.0


def make_queue(url: str) -> trioq.Queue:
    queue = trioq.Queue("bench", backend=url)

    @queue.task
    async def noop() -> None:
        pass

    return queue


def calls(server: Server) -> tuple[int, int]:
    """Requests from clients, and commands that scripts made of them."""
    counts = {}
    for line in server.command("INFO", "commandstats").decode().splitlines():
        if line.startswith("cmdstat_"):
            name, _, rest = line.removeprefix("cmdstat_").partition(":calls=")
            counts[name] = int(rest.partition(",")[0])
    requests = sum(count for name, count in counts.items() if name in ("evalsha", "eval", "ping", "subscribe"))
    return requests, sum(counts.values())


def cpu_of(server: Server) -> float:
    """CPU seconds that the server has used."""
    times = dict(line.split(":") for line in server.command("INFO", "cpu").decode().splitlines() if ":" in line)
    return float(times["used_cpu_user"]) + float(times["used_cpu_sys"])


async def end_to_end(server: Server, jobs: int, concurrency: int) -> float:
    """Jobs a second from the first enqueue, in another process, to the last settle."""
    queue = make_queue(server.url)
    async with queue, trio.open_nursery() as nursery:
        worker = trioq.Worker(queue, concurrency=concurrency)
        await nursery.start(worker.start)
        process = subprocess.Popen([sys.executable, "-c", PRODUCER, server.url, str(jobs)])
        while worker.statistics().claimed == 0:
            await trio.sleep(0.001)
        start = time.perf_counter()
        while worker.statistics().completed < jobs:
            await trio.sleep(0.005)
        elapsed = time.perf_counter() - start
        worker.stop()
        process.wait()
    return jobs / elapsed


async def drain(server: Server, jobs: int, concurrency: int) -> tuple[float, ...]:
    """Jobs a second out of a backlog; requests and commands per job; CPU seconds per job, here and in the server."""
    queue = make_queue(server.url)
    async with queue:
        await queue.enqueue_many(queue.tasks["noop"].bind() for _ in range(jobs))
        requests, commands = calls(server)
        start, here, there = time.perf_counter(), time.process_time(), cpu_of(server)
        await trioq.Worker(queue, concurrency=concurrency).run_until_idle()
        elapsed, here, there = time.perf_counter() - start, time.process_time() - here, cpu_of(server) - there
        requests_after, commands_after = calls(server)
    return (
        jobs / elapsed,
        (requests_after - requests) / jobs,
        (commands_after - commands) / jobs,
        here / jobs,
        there / jobs,
    )


async def pick_up(server: Server, jobs: int, delay: float = 0.0) -> list[float]:
    """Milliseconds from right before enqueue to the handler in an idle worker's process, less a *delay* in seconds."""
    command = [sys.executable, "-c", IDLE_WORKER, server.url, str(jobs + 1)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        async with trioq.Queue("pickup", backend=server.url) as queue:
            for _ in range(jobs + 1):
                await queue.enqueue("stamp", [time.monotonic() + delay], delay=delay)
                await trio.sleep(0.03)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    latencies: list[float] = json.loads(printed)
    return sorted(latencies[1:])  # the first one waited for the process to come up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--server", choices=list(PROGRAMS), default=next(iter(PROGRAMS)))
    options = parser.parse_args()
    both, drained = [], []
    server = Server(PROGRAMS[options.server])
    try:
        for _ in range(options.rounds):
            both.append(trio.run(end_to_end, server, options.jobs, options.concurrency))
            drained.append(trio.run(drain, server, options.jobs, options.concurrency))
        latencies = trio.run(pick_up, server, 200)
        lateness = trio.run(pick_up, server, 200, DELAY)
    finally:
        server.close()
    print(f"end to end   max {max(both):8,.0f}  median {statistics.median(both):8,.0f}  jobs/s")
    rates = [rate for rate, *_ in drained]
    print(f"drain        max {max(rates):8,.0f}  median {statistics.median(rates):8,.0f}  jobs/s")
    _, requests, commands, here, there = drained[-1]
    print(f"per job      {requests:.4f} requests, {commands:.1f} commands", end=", ")
    print(f"{here * 1e6:.0f} us CPU here, {there * 1e6:.0f} us in the server")
    for what, figures in (("pick-up", latencies), (f"{DELAY:g} s later", lateness)):
        p99 = figures[int(len(figures) * 0.99)]
        print(f"{what:12} p50 {statistics.median(figures):.2f} ms  p99 {p99:.2f} ms  max {figures[-1]:.2f} ms")


if __name__ == "__main__":
    main()
