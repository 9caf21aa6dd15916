"""When things go wrong: retries with backoff, and failures that no retry can mend."""

import logging
import sys
from functools import partial

import trio
import trioq

logging.basicConfig(level=logging.INFO)

queue = trioq.Queue("mail", backend="sqlite:mail.db")


@queue.task(max_retries=3, backoff=trioq.Exponential(base=0.1, factor=2), timeout=30)
async def send(to: str, text: str) -> None:
    if "@" not in to:
        raise trioq.Reject(f"{to} is no address")
    attempt = trioq.current_job().attempt
    if attempt < 3:  # our mail server is busy at first
        print(f"attempt {attempt} for {to}: the server is busy")
        raise ConnectionError("the server is busy")
    print(f"attempt {attempt} for {to}: sent")


worker = trioq.Worker(queue)


async def order() -> None:
    async with queue:
        await send.options(id="order-7").enqueue("ann@example.org", text="your order 7")
        await send.options(id="order-8").enqueue("bob", text="your order 8")


async def status() -> None:
    async with queue:
        async for job in queue.jobs():
            last = (job.error or "no error").splitlines()[-1]
            print(f"{job.id}: {job.state}, {job.failures} failures, {last}")


if __name__ == "__main__":
    commands = {"order": order, "status": status, "work": partial(worker.run_until_idle, delayed=True)}
    trio.run(commands[sys.argv[1]])
