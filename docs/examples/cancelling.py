"""Cancelling a job that waits, and one that runs: its handler tidies up first."""

import trio
import trioq

queue = trioq.Queue("exports", backend="memory:")


@queue.task
async def export(name: str) -> None:
    print(f"{name}: begins")
    try:
        await trio.sleep_forever()
    finally:
        with trio.move_on_after(2, shield=True):  # cancelled code must shield what it still has to await
            await trio.sleep(0.1)
            print(f"{name}: tidied up")


async def main() -> None:
    worker = trioq.Worker(queue, concurrency=1)
    async with queue, trio.open_nursery() as nursery:
        await nursery.start(worker.start)
        running = await export.enqueue("first")
        waiting = await export.enqueue("second")
        await trio.sleep(0.1)

        print("second:", await waiting.cancel(reason="changed my mind"))
        print("first:", await running.cancel(reason="no longer needed"))
        print("first again:", await running.cancel())
        try:
            await running.result()
        except trioq.JobCancelled as error:
            print("first ended:", error.reason)
        worker.stop()


trio.run(main)
