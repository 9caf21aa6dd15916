"""trioq, PgQueuer and Procrastinate on the same PostgreSQL, side by side in one run: throughput and idle pick-up.

    python -m benchmarks.postgres_peers [--jobs 20000] [--rounds 3] [--server postgresql-16] [--concurrency 100]
        [--set synchronous_commit=off]

The peers are installed from PyPI into a folder that goes at the end.  In each round all drain the same number of no-op
jobs out of a backlog, one after another, each with one worker process and a database of its own; PgQueuer fetches 100
at a time, and runs any number at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import venv
from collections import Counter
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import trio

import trioq
from benchmarks.postgres import PICKUPS, Store, pick_up, start_server
from tests.postgres_server import PROGRAMS, PostgresServer

PEERS: Final = Path(__file__).parent / "peers"
PIP: Final = ("pgqueuer[asyncpg]>=1.6,<2", "procrastinate>=3.10,<4", "psycopg[binary]", "uvloop")

#: How many jobs PgQueuer fetches at a time.
BATCH: Final = 100

_numbers: Final = count()


def install(folder: Path) -> Path:
    """Put the peers into this folder; the Python that has them."""
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PIP], check=True)
    return python


def new_database(server: PostgresServer) -> str:
    """The URL of one with nothing in it."""
    name = f"peer_{next(_numbers)}"
    server.sql(f"CREATE DATABASE {name}")
    return f"{server.url.rpartition('/')[0]}/{name}"


def run(python: Path, program: str, *arguments: str) -> float:
    """What a program of a peer prints: a number."""
    command = [python, PEERS / program, *arguments]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


async def drain(store: Store, jobs: int, concurrency: int) -> float:
    """Our jobs a second out of a backlog, once each has run once and is settled."""
    queue = trioq.Queue("bench", backend=store.url)
    ran: Counter[int] = Counter()

    @queue.task
    async def noop(number: int) -> None:
        ran[number] += 1

    async with queue:
        await queue.enqueue_many(noop.bind(number) for number in range(jobs))
        begun = perf_counter()
        await trioq.Worker(queue, concurrency=concurrency).run_until_idle()
        rate = jobs / (perf_counter() - begun)
    assert ran == Counter(range(jobs)), "a job ran twice, or never"
    return rate


def one_round(python: Path, server: PostgresServer, jobs: int, concurrency: int) -> dict[str, float]:
    """Jobs a second out of a backlog, of each."""
    rates = {"trioq": trio.run(drain, Store.new(server), jobs, concurrency)}
    rates["PgQueuer"] = run(python, "pgqueuer_noop.py", new_database(server), "drain", str(jobs), str(BATCH))
    # A tenth of the jobs: it is the slowest by far, and as fast with few jobs as with many.
    few = (str(jobs // 10), str(concurrency))
    rates["Procrastinate"] = run(python, "procrastinate_noop.py", new_database(server), *few)
    return rates


def pgqueuer_pick_up(python: Path, server: PostgresServer) -> list[float]:
    """Milliseconds from right before enqueue to the handler, in an idle worker's process."""
    url, jobs, program = new_database(server), str(PICKUPS + 1), PEERS / "pgqueuer_noop.py"
    worker = subprocess.Popen([python, program, url, "work", jobs], stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        worker.stdout.readline()  # its tables are there
        subprocess.run([python, program, url, "send", jobs], check=True)
        printed, _ = worker.communicate(timeout=60)
    finally:
        worker.kill()
        worker.wait()
    latencies: list[float] = json.loads(printed)[1:]
    return latencies


def main() -> None:
    """Install, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--server", choices=list(PROGRAMS), default=next(iter(PROGRAMS)))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the server")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="trioq-peers-") as name:
        python = install(Path(name))
        server = start_server(options.server, options.set)
        try:
            rounds = [one_round(python, server, options.jobs, options.concurrency) for _ in range(options.rounds)]
            ours = statistics.median(trio.run(pick_up, Store.new(server), PICKUPS))
            theirs = statistics.median(pgqueuer_pick_up(python, server))
        finally:
            server.close()
    rates = {peer: statistics.median(each[peer] for each in rounds) for peer in rounds[0]}
    for peer, rate in rates.items():
        print(f"{peer:13} drains {rate:8,.0f} jobs/s  (median of {len(rounds)})")
    print(f"trioq / PgQueuer       {rates['trioq'] / rates['PgQueuer']:6.2f}  (bar: 1)")
    print(f"trioq / Procrastinate  {rates['trioq'] / rates['Procrastinate']:6.2f}  (bar: 10)")
    print(f"pick-up p50   {ours:.2f} ms; PgQueuer's {theirs:.2f} ms; ratio {ours / theirs:.2f}  (bar: 1)")


if __name__ == "__main__":
    main()
