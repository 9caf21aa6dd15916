"""Two workers under one rate limit: never more than 3 starts in any window of 10 seconds."""

import trio
import trioq
from trio.testing import MockClock

mail = trioq.InMemoryBackend()
letters = trioq.Queue("letters", backend=mail)
parcels = trioq.Queue("parcels", backend=mail)


async def post(what: str) -> None:
    print(f"{trio.current_time():4.0f} s: {what}")


letter = letters.task(post, name="letter")
parcel = parcels.task(post, name="parcel")


async def main() -> None:
    post_office = trioq.RateLimiter(limit=3, interval=10)
    async with letters, parcels, trio.open_nursery() as nursery:
        await letters.enqueue_many(letter.bind(f"letter {n}") for n in range(4))
        for queue in (letters, parcels):
            worker = trioq.Worker(queue, concurrency=1, rate_limit=post_office)
            nursery.start_soon(worker.run_until_idle)
        await trio.sleep(15)
        await parcels.enqueue_many(parcel.bind(f"parcel {n}") for n in range(2))


trio.run(main, clock=MockClock(autojump_threshold=0))
