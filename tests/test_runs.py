"""What holds when a ``trio.run`` ends: by Ctrl-C, or so that another one begins."""

from __future__ import annotations

import signal

import pytest
import trio
from trio.testing import MockClock

import trioq


class Interrupting(trioq.InMemoryBackend):
    """Ctrl-C comes while the worker's first outcomes are being settled."""

    interrupted = False

    async def settle(self, changes):
        reply = await super().settle(changes)
        if not self.interrupted:
            self.interrupted = True
            signal.raise_signal(signal.SIGINT)
        return reply


@pytest.mark.usefixtures("heard")
def test_ctrl_c_in_a_stage_loses_nothing():
    queue = trioq.Queue("q", Interrupting())

    @queue.task
    async def nap(seconds):
        await trio.sleep(seconds)

    async def main():
        async with queue, trio.open_nursery() as nursery:
            for seconds in (1, 1, 50):
                await nap.enqueue(seconds)
            await nursery.start(trioq.Worker(queue).start)
            await trio.sleep(100)

    async def counts():
        async with queue:
            return await queue.counts()

    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    found = trio.run(counts)
    assert (found["completed"], found["waiting"], found["active"]) == (2, 1, 0)


def test_what_another_run_spent_says_nothing_in_this_one():
    limiter = trioq.RateLimiter(1, 1000)

    async def acquire():
        limiter.acquire_nowait()

    for _ in range(4):
        trio.run(acquire)
