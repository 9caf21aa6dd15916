"""What holds when a ``trio.run`` ends: by Ctrl-C, or so that another one begins."""

from __future__ import annotations

import signal
import threading
import time

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

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


@pytest.mark.usefixtures("ctrl_c_interrupts")
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


def test_a_rate_limit_holds_from_one_run_to_the_next():
    limiter = trioq.RateLimiter(2, 1000)

    async def acquire():
        limiter.acquire_nowait()

    async def wait():
        before = trio.current_time()
        await limiter.acquire()
        return trio.current_time() - before

    for _ in range(2):
        trio.run(acquire)
    with pytest.raises(trio.WouldBlock):
        trio.run(acquire)
    # Between two runs real time passes: less than a second of it here.
    assert trio.run(wait, clock=MockClock(autojump_threshold=0)) == pytest.approx(1000, abs=1)


def test_a_run_that_ends_with_a_token_in_hand_may_have_used_it():
    limiter = trioq.RateLimiter(1, 1000)

    async def take():
        return limiter.take(1)

    assert [trio.run(take) for _ in range(3)] == [1, 0, 0]


def test_a_rate_limit_holds_for_runs_in_several_threads():
    limiter = trioq.RateLimiter(3, 0.25)
    starts = []

    async def start_ten():
        for _ in range(10):
            await limiter.acquire()
            starts.append(time.monotonic())

    threads = [threading.Thread(target=trio.run, args=(start_ten,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    starts.sort()
    assert len(starts) == 30
    # A start is noted a little after its token was dated, so only the whole tells: 30 starts take nine intervals.
    assert starts[-1] - starts[0] > 9 * 0.25 - 0.1


def test_a_token_that_comes_back_in_one_run_wakes_the_tasks_of_another():
    limiter = trioq.RateLimiter(1, 1000)
    taken, given_back = threading.Event(), threading.Event()

    async def hold():
        assert limiter.take(1)
        taken.set()
        await trio.to_thread.run_sync(given_back.wait)
        limiter.give_back()

    async def wait():
        await trio.to_thread.run_sync(taken.wait)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(limiter.acquire)
            await wait_all_tasks_blocked()
            given_back.set()

    threads = [threading.Thread(target=trio.run, args=(each,), daemon=True) for each in (hold, wait)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_the_tokens_of_a_run_that_ended_come_back_to_one_that_waits():
    limiter = trioq.RateLimiter(1, 0.1)
    waits = threading.Event()

    async def take():
        assert limiter.take(1)
        await trio.to_thread.run_sync(waits.wait)

    async def wait():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(limiter.acquire)
            await wait_all_tasks_blocked()
            waits.set()

    holder = threading.Thread(target=trio.run, args=(take,))
    holder.start()
    while not limiter._bucket.held:
        time.sleep(0.01)
    waiter = threading.Thread(target=trio.run, args=(wait,), daemon=True)
    waiter.start()
    for thread in (holder, waiter):
        thread.join(30)
        assert not thread.is_alive()
