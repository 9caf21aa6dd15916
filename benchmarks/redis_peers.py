"""trioq, BullMQ on Node and streaq on Trio on the same Redis, side by side in one run: throughput and idle pick-up.

    python -m benchmarks.redis_peers [--jobs 20000] [--rounds 3] [--server redis-6.2] [--concurrency 100]

It needs node, npm and a network: the peers are installed into a folder that goes at the end.  In each round all drain
the same number of no-op jobs out of a backlog, one after another, each with one worker process and an empty store.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trio

from benchmarks.redis import drain, pick_up
from tests.servers import PROGRAMS, Server

PEERS: Final = Path(__file__).parent / "peers"
NPM: Final = ("bullmq@6", "ioredis@5")
PIP: Final = ("streaq>=7,<8", "trio>=0.35")

#: Jobs that find an idle worker.
PICKUPS: Final = 200


def run(*command: str | Path, cwd: Path) -> str:
    """What a program prints."""
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def install(folder: Path) -> None:
    """Put the peers into this folder."""
    for program in PEERS.iterdir():
        (folder / program.name).write_bytes(program.read_bytes())
    (folder / "package.json").write_text('{"private": true}')
    run("npm", "install", "--silent", "--no-audit", "--no-fund", *NPM, cwd=folder)
    venv.create(folder / "venv", with_pip=True)
    run(folder / "venv/bin/python", "-m", "pip", "install", "--quiet", *PIP, cwd=folder)


def one_round(folder: Path, server: Server, jobs: int, concurrency: int) -> dict[str, float]:
    """Jobs a second out of a backlog, of each."""
    port, size = str(server.port), (str(jobs), str(concurrency))
    rates = {}
    server.command("FLUSHALL")
    rates["trioq"] = trio.run(drain, server, jobs, concurrency)[0]
    server.command("FLUSHALL")
    rates["BullMQ"] = float(run("node", "bullmq.mjs", port, "drain", *size, cwd=folder))
    server.command("FLUSHALL")
    # A tenth of the jobs: it is the slowest by far, and as fast with few jobs as with many.
    few = (str(jobs // 10), str(concurrency))
    rates["streaq"] = float(run(folder / "venv/bin/python", "streaq_noop.py", port, *few, cwd=folder))
    return rates


def bullmq_pick_up(folder: Path, server: Server) -> list[float]:
    """Milliseconds from right before add to the handler, in an idle worker's process."""
    port, jobs = str(server.port), str(PICKUPS + 1)
    worker = subprocess.Popen(["node", "bullmq.mjs", port, "work", jobs], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        run("node", "bullmq.mjs", port, "send", jobs, cwd=folder)
        printed, _ = worker.communicate(timeout=60)
    finally:
        worker.kill()
        worker.wait()
    latencies: list[float] = json.loads(printed)[1:]  # the first one waited for the process to come up
    return latencies


def main() -> None:
    """Install, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--server", choices=list(PROGRAMS), default=next(iter(PROGRAMS)))
    options = parser.parse_args()
    with TemporaryDirectory(prefix="trioq-peers-") as name:
        folder = Path(name)
        install(folder)
        server = Server(PROGRAMS[options.server])
        try:
            rounds = [one_round(folder, server, options.jobs, options.concurrency) for _ in range(options.rounds)]
            server.command("FLUSHALL")
            ours = statistics.median(trio.run(pick_up, server, PICKUPS))
            theirs = statistics.median(bullmq_pick_up(folder, server))
        finally:
            server.close()
    rates = {peer: statistics.median(each[peer] for each in rounds) for peer in rounds[0]}
    for peer, rate in rates.items():
        print(f"{peer:8} drains {rate:8,.0f} jobs/s  (median of {len(rounds)})")
    print(f"trioq / BullMQ   {rates['trioq'] / rates['BullMQ']:6.2f}  (bar: 1)")
    print(f"trioq / streaq   {rates['trioq'] / rates['streaq']:6.2f}  (bar: 10)")
    print(f"pick-up p50      {ours:.2f} ms; BullMQ's {theirs:.2f} ms; ratio {ours / theirs:.2f}  (bar: 0.6)")


if __name__ == "__main__":
    main()
