"""SIGTERM and SIGINT: the first drains, the second cancels, and neither spends an attempt."""

from __future__ import annotations

import signal

import pytest
import trio

import trioq

#: Seconds that a busy machine may add to what is promised.
MARGIN = 5

both = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)


async def check_released_and_finished_elsewhere(job: trioq.JobHandle[str], start_worker) -> None:
    """The job is as if it had never been claimed, but for its run, and another worker completes it."""
    record = await job.refresh()
    assert (record.state, record.run, record.failures, record.crashes) == ("waiting", 1, 0, 0)
    await start_worker()
    assert await job.result() == "run 2"


@both
async def test_a_signal_drains_within_the_grace_and_no_attempt_is_spent(queue, journal, start_worker, number: int):
    grace = 1
    worker = await start_worker(grace=grace)
    long, short = await queue.enqueue("hold", [60]), await queue.enqueue("hold", [0.5])
    await journal.wait_for("hold 1")
    await journal.wait_for("hold 1")
    began = trio.current_time()
    worker.signal(number)
    await worker.log.wait_for("drains")
    assert await short.result() == "held"  # by now a claim that was under way when the drain began has come back
    unclaimed = await queue.enqueue("count", [1])
    assert await worker.wait() == 0
    assert grace <= trio.current_time() - began < grace + 1 + MARGIN
    assert (await unclaimed.refresh()).run == 0
    await check_released_and_finished_elsewhere(long, start_worker)


@pytest.mark.slow
@both
async def test_a_second_signal_cancels_and_no_attempt_is_spent(queue, journal, start_worker, number: int):
    worker = await start_worker(grace=60)
    job = await queue.enqueue("hold", [60])
    await journal.wait_for("hold 1")
    worker.signal(number)
    await worker.log.wait_for("drains")
    began = trio.current_time()
    worker.signal(number)
    await journal.wait_for("cancelled 1")
    assert await worker.wait() == 0
    assert trio.current_time() - began < MARGIN
    await check_released_and_finished_elsewhere(job, start_worker)


async def test_an_idle_worker_ends_at_once(start_worker):
    worker = await start_worker(grace=60)
    began = trio.current_time()
    worker.signal(signal.SIGTERM)
    assert await worker.wait() == 0
    assert trio.current_time() - began < MARGIN
