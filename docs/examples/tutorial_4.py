"""Later, or not at all: a delayed job, and its cancellation from another process."""

import logging
import sys

import trio
import trioq

logging.basicConfig(level=logging.INFO)

DAY = 24 * 60 * 60

queue = trioq.Queue("mail", backend="sqlite:mail.db")


@queue.task(max_retries=3, timeout=30)
async def send(to: str, text: str) -> None:
    print(f"sent to {to}: {text}")


worker = trioq.Worker(queue)


async def order() -> None:
    async with queue:
        await send.options(id="order-7").enqueue("ann@example.org", text="your order 7")
        await send.options(id="reminder-7", delay=3 * DAY).enqueue("ann@example.org", text="please pay")


async def pay() -> None:
    async with queue:
        cancelled = await queue.cancel("reminder-7", reason="paid")
        print("no reminder will be sent" if cancelled else "too late: it was sent")


async def status() -> None:
    async with queue:
        async for job in queue.jobs():
            print(f"{job.id}: {job.state} {job.cancel_reason or ''}".rstrip())


if __name__ == "__main__":
    commands = {"order": order, "pay": pay, "status": status, "work": worker.run_until_idle}
    trio.run(commands[sys.argv[1]])
