"""Events: a callback for what needs attention, a channel for a live view."""

import trio
import trioq
from trioq.events import JobCompleted, JobFailed, JobProgress

queue = trioq.Queue("numbers", backend="memory:")


@queue.task(max_retries=0)
async def invert(number: int) -> float:
    trioq.current_job().progress(0.5, note="thinking")
    await trio.sleep(0.05)
    return 1 / number


async def alert(event: JobFailed) -> None:
    await trio.sleep(0.1)  # it takes its time, and keeps no job waiting
    print(f"alert: {event.job.task} failed: {event.error.splitlines()[-1]}")


async def view(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    async with trioq.event_emitter.subscribe("job:*", buffer=100) as events:
        task_status.started()
        async for event in events:
            match event:
                case JobProgress(progress={"note": note}):
                    print(f"{event.name}: {note}")
                case JobCompleted(duration=seconds):
                    print(f"{event.name}: took {seconds:.1f} s")
                case _:
                    print(event.name)


async def main() -> None:
    unsubscribe = trioq.event_emitter.on("job:failed", alert)
    async with queue, trio.open_nursery() as nursery:
        await nursery.start(view)
        await queue.enqueue_many([invert.bind(4), invert.bind(0)])
        await trioq.Worker(queue, concurrency=1).run_until_idle()
        nursery.cancel_scope.cancel()
    unsubscribe()


trio.run(main)
