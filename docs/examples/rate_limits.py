"""Two workers under one rate limit: never more than 3 starts in any window of 10 seconds."""

from collections import Counter

import trio
import trioq
from trio.testing import MockClock

post_office = trioq.RateLimiter(limit=3, interval=10)
letters = trioq.Queue("letters", backend="memory:")
parcels = trioq.Queue("parcels", backend="memory:")
starts: Counter[float] = Counter()


async def post(number: int) -> None:
    starts[trio.current_time()] += 1


letter = letters.task(post, name="letter")
parcel = parcels.task(post, name="parcel")


async def main() -> None:
    began = trio.current_time()
    async with letters, parcels, trio.open_nursery() as nursery:
        await letters.enqueue_many(letter.bind(number) for number in range(5))
        await parcels.enqueue_many(parcel.bind(number) for number in range(2))
        for queue in (letters, parcels):
            nursery.start_soon(trioq.Worker(queue, rate_limit=post_office).run_until_idle)
    for time, count in sorted(starts.items()):
        print(f"{time - began:.0f} s: {count}")


trio.run(main, clock=MockClock(autojump_threshold=0))
