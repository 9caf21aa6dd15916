"""A drain: one job finishes within the grace, the other one goes back to the queue."""

import trio
import trioq

queue = trioq.Queue("reports", backend="memory:")


@queue.task
async def render(name: str, seconds: float) -> None:
    await trio.sleep(seconds)
    print(f"{name}: done")


async def main() -> None:
    async with queue:
        worker = trioq.Worker(queue, name="worker-1", grace=0.5)
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.start)
            await queue.enqueue_many([render.bind("short", 0.2), render.bind("long", 60)])
            await trio.sleep(0.1)
            worker.stop()  # what SIGTERM does to `trio.run(worker.start)`
        async for job in queue.jobs():
            name, _ = job.arguments()[0]
            print(f"{name}: {job.state}, next attempt {job.attempt}, crashes {job.crashes}")


trio.run(main)
