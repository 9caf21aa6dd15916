"""A durable queue: one process enqueues, another one runs."""

import logging
import sys

import trio
import trioq

logging.basicConfig(level=logging.INFO)

queue = trioq.Queue("mail", backend="sqlite:mail.db")


@queue.task
async def send(to: str, text: str) -> None:
    print(f"sent to {to}: {text}")


worker = trioq.Worker(queue)


async def order() -> None:
    async with queue:
        job = await send.options(id="order-7").enqueue("ann@example.org", text="your order 7")
        print(f"{job.id}: {'is stored' if job.created else 'was stored already'}")


async def status() -> None:
    async with queue:
        async for job in queue.jobs():
            print(f"{job.id}: {job.state}")


if __name__ == "__main__":
    commands = {"order": order, "status": status, "work": worker.run_until_idle}
    trio.run(commands[sys.argv[1]])
