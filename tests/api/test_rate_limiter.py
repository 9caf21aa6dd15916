"""RateLimiter: a bucket with a place to wait."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trioq


@pytest.mark.parametrize("options", [(0,), (-1,), (1, 0), (1, -1), (1, math.nan), (1.5,), (True,), (1, math.inf)])
async def test_limits_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=r"a rate's (limit|interval) is"):
        trioq.RateLimiter(*options)
    if len(options) == 1:
        with pytest.raises(ValueError, match="a rate's limit is a whole number"):
            trioq.Worker(trioq.Queue("q", "memory:"), rate_limit=options[0])


async def test_a_burst_is_let_through_and_then_no_window_holds_more_than_the_limit(autojump_clock):
    rate = trioq.RateLimiter(3, 2)
    times = []
    for number in range(10):
        await rate.acquire()
        times.append(trio.current_time())
        await trio.sleep(0.3 if number < 5 else 0)
    assert times[:3] == pytest.approx([0, 0.3, 0.6])
    assert all(later - earlier >= 2 - 1e-9 for earlier, later in zip(times, times[3:], strict=False))


async def test_those_who_wait_are_served_in_turn(autojump_clock, nursery):
    rate = trioq.RateLimiter(1, 1)
    served = []

    async def acquire(name):
        await rate.acquire()
        served.append((name, trio.current_time()))

    for name in "abcd":
        nursery.start_soon(acquire, name)
        await wait_all_tasks_blocked()
    await trio.sleep(5)
    assert served == [("a", 0), ("b", 1), ("c", 2), ("d", 3)]


async def test_without_waiting_there_is_a_token_or_wouldblock(autojump_clock):
    rate = trioq.RateLimiter(2, 1)
    rate.acquire_nowait()
    rate.acquire_nowait()
    with pytest.raises(trio.WouldBlock):
        rate.acquire_nowait()
    await trio.sleep(1)
    rate.acquire_nowait()


async def test_no_caller_jumps_the_queue_of_those_that_wait(autojump_clock, nursery):
    rate = trioq.RateLimiter(1, 1)
    await rate.acquire()
    nursery.start_soon(rate.acquire)
    await wait_all_tasks_blocked()
    with pytest.raises(trio.WouldBlock):
        rate.acquire_nowait()


async def test_a_refund_lets_the_next_one_start_at_once(autojump_clock, nursery):
    rate = trioq.RateLimiter(1, 100)
    await rate.acquire()
    done = trio.Event()

    async def acquire():
        await rate.acquire()
        done.set()

    nursery.start_soon(acquire)
    await trio.sleep(1)
    assert not done.is_set()
    rate.refund()
    await wait_all_tasks_blocked()
    assert done.is_set()
    assert trio.current_time() == 1


async def test_a_cancelled_wait_spends_nothing(autojump_clock):
    rate = trioq.RateLimiter(1, 10)
    await rate.acquire()
    with trio.move_on_after(5):
        await rate.acquire()
    assert rate.statistics().available == 0
    await trio.sleep(5)
    assert rate.statistics().available == 1
    assert rate.statistics().waiting == 0


async def test_acquire_is_a_checkpoint(autojump_clock):
    rate = trioq.RateLimiter(5)
    with trio.CancelScope() as scope:
        scope.cancel()
        await rate.acquire()
    assert scope.cancelled_caught
    assert rate.statistics().available == 5


async def test_a_taken_token_that_is_dated_later_comes_back_by_that_date(autojump_clock, nursery):
    rate = trioq.RateLimiter(1, 1)
    assert rate.take(5) == 1
    served = []

    async def acquire():
        await rate.acquire()
        served.append(trio.current_time())

    nursery.start_soon(acquire)
    await trio.sleep(3)
    rate.spend()
    await trio.sleep(3)
    assert served == [4]


async def test_statistics_show_what_is_left_and_who_waits(autojump_clock, nursery):
    rate = trioq.RateLimiter(2, 7)
    await rate.acquire()
    seen = rate.statistics()
    assert (seen.limit, seen.interval, seen.available, seen.waiting) == (2, 7, 1, 0)
    for _ in range(3):
        nursery.start_soon(rate.acquire)
    await wait_all_tasks_blocked()
    assert (rate.statistics().available, rate.statistics().waiting) == (0, 2)
    nursery.cancel_scope.cancel()
