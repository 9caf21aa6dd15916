"""Handlers in processes of their own: what crashes or never ends takes nothing else along."""

import os
import time

import trio
import trioq

queue = trioq.Queue("untrusted", backend="memory:")


@queue.task(sandbox=True, max_retries=0)
def square(number: int) -> int:
    return number * number


@queue.task(sandbox=True, max_retries=0)
def crash() -> None:
    os._exit(3)


@queue.task(sandbox=True, max_retries=0, timeout=0.5)
def hang() -> None:
    while True:
        time.sleep(1)


async def main() -> None:
    async with queue:
        jobs = [await square.enqueue(12), await crash.enqueue(), await hang.enqueue()]
        await trioq.Worker(queue).run_until_idle()
        for job in jobs:
            done = await job.refresh()
            print(f"{done.task}: {done.state}, {(done.error or 'no error').splitlines()[-1]}")


if __name__ == "__main__":  # the processes import this file, and must not run it
    trio.run(main)
