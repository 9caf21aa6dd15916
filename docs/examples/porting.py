"""AsyncMQ's functions under their old names, run by Trio."""

import trio
import trioq

queue = trioq.Queue("emails", backend=trioq.InMemoryBackend())


@queue.task(max_retries=2, ttl=3600)
async def send(to: str) -> str:
    return f"sent to {to}"


async def main() -> None:
    trioq.event_emitter.on("job:completed", lambda event: print(event.name, *event.job.arguments()[0]))
    async with queue, trio.open_nursery() as nursery:
        limiter = trio.CapacityLimiter(5)
        rate_limiter = trioq.RateLimiter(100, interval=1.0)
        nursery.start_soon(trioq.process_job, "emails", limiter, rate_limiter)

        job = await send.enqueue("ann@example.org")
        await job.result()
        nursery.cancel_scope.cancel()


trio.run(main)
