"""A first job: one program enqueues it, and runs it."""

import logging

import trio
import trioq

logging.basicConfig(level=logging.INFO)

queue = trioq.Queue("mail", backend="memory:")


@queue.task
async def send(to: str, text: str) -> str:
    await trio.sleep(0.1)  # a real one would talk to its mail server here
    return f"sent to {to}: {text}"


worker = trioq.Worker(queue, concurrency=5)


async def main() -> None:
    async with queue, trio.open_nursery() as nursery:
        await nursery.start(worker.start)
        job = await send.enqueue("ann@example.org", text="hello")
        print(await job.result())
        worker.stop()


trio.run(main)
