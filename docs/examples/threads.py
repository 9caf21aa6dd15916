"""Plain functions run in threads; they can be asked to stop, and reach back into Trio."""

import hashlib
import time

import trio
import trioq

queue = trioq.Queue("files", backend="memory:")


@queue.task
async def store(digest: str) -> None:
    print("stored", digest)


@queue.task
def digest(text: str) -> str:
    found = hashlib.sha256(text.encode()).hexdigest()[:8]
    trio.from_thread.run(store.enqueue, found)  # a thread enqueues like this
    return found


@queue.task(timeout=0.3)
def grind() -> None:
    for step in range(1000):
        trio.from_thread.check_cancelled()  # raises where the job was cancelled, or is out of time
        trioq.current_job().progress(step / 1000)
        time.sleep(0.01)


async def main() -> None:
    async with queue:
        jobs = [await digest.enqueue("hello"), await grind.options(max_retries=0).enqueue()]
        await trioq.Worker(queue).run_until_idle()
        print("digest:", await jobs[0].result())
        ground = await jobs[1].refresh()
        print("grind:", ground.error)


trio.run(main)
