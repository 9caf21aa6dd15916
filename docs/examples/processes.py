"""Several processes on one file: two workers share 200 jobs, and each job runs once."""

import sys
from collections import Counter

import trio
import trioq

queue = trioq.Queue("shared", backend="sqlite:shared.db")


@queue.task
async def work(number: int) -> None:
    await trio.sleep(0.005)


async def main() -> None:
    async with queue:
        jobs = await queue.enqueue_many(work.bind(number) for number in range(200))
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(trio.run_process, [sys.executable, __file__, "work"])
        runs = Counter([(await job.refresh()).run for job in jobs])
    for run, count in runs.items():
        print(f"{count} jobs: {run} run each")


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        trio.run(trioq.Worker(queue, concurrency=5).run_until_idle)
    else:
        trio.run(main)
