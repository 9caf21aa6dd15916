"""Watching: events tell what happens to each job."""

import sys
from functools import partial

import trio
import trioq
from trioq.events import JobEvent, JobFailed

queue = trioq.Queue("mail", backend="sqlite:mail.db")


@queue.task(max_retries=1, backoff=trioq.Fixed(0.1), timeout=30)
async def send(to: str, text: str) -> None:
    raise ConnectionError("the server is busy")


worker = trioq.Worker(queue)


def note(event: JobEvent) -> None:
    print(f"{event.name} {event.job.id} attempt {event.attempt}")


async def alert(event: JobFailed) -> None:
    await trio.sleep(0.1)  # a pager takes its time, and keeps no job waiting
    print(f"wake an operator: {event.error.splitlines()[-1]}")


trioq.event_emitter.on("job:*", note)
trioq.event_emitter.on("job:failed", alert)


async def order() -> None:
    async with queue:
        await send.options(id="order-7").enqueue("ann@example.org", text="your order 7")


if __name__ == "__main__":
    commands = {"order": order, "work": partial(worker.run_until_idle, delayed=True)}
    trio.run(commands[sys.argv[1]])
