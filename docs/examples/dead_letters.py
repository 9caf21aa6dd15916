"""Dead letters: looked at, sent round again, or dropped."""

import trio
import trioq

queue = trioq.Queue("parcels", backend="memory:")
addresses = {"ann": "1 Harbour Street"}


@queue.task(max_retries=1, backoff=trioq.Fixed(0.05))
async def ship(name: str) -> str:
    return f"{name}'s parcel went to {addresses[name]}"


async def main() -> None:
    async with queue:
        for name in ("ann", "bob", "cat"):
            await ship.options(id=name).enqueue(name)
        await trioq.Worker(queue).run_until_idle(delayed=True)

        async for job in queue.dead_letters():
            print(f"{job.id}: {job.state} after {job.failures} failures: {job.error.splitlines()[-1]}")

        addresses["bob"] = "2 Mill Lane"
        print("bob requeued:", await queue.requeue("bob"))
        print("cat removed:", await queue.remove("cat"))
        print("dan requeued:", await queue.requeue("dan"))
        await trioq.Worker(queue).run_until_idle()

        bob = await queue.job("bob")
        print(f"bob: {bob.state}, {bob.failures} failures")
        print("dead letters:", [job.id async for job in queue.dead_letters()])


trio.run(main)
