"""A process that dies takes no job with it, and a job that kills its process takes no other down."""

from __future__ import annotations

import signal

import pytest
import trio

import trioq

#: Seconds; short, so that a reclaim is not waited for long, and longer than a busy machine keeps a process waiting.
LEASE = 3


async def test_kill_9_loses_no_job_and_another_worker_finishes_it_within_the_lease_and_five_seconds(
    queue, journal, start_worker
):
    doomed = await start_worker(lease=LEASE)
    jobs = [await queue.enqueue("hold", [60]) for _ in range(5)]
    for _ in jobs:
        await journal.wait_for("hold 1")
    await start_worker(lease=LEASE)
    began = trio.current_time()
    doomed.signal(signal.SIGKILL)
    assert await doomed.wait() == -signal.SIGKILL
    assert [await job.result() for job in jobs] == ["run 2"] * 5
    assert trio.current_time() - began < LEASE + 5
    records = [await job.refresh() for job in jobs]
    assert [(record.crashes, record.failures) for record in records] == [(1, 0)] * 5


@pytest.mark.slow
async def test_by_default_a_hundred_jobs_of_a_killed_process_are_finished_elsewhere_within_twenty_seconds(
    queue, journal, start_worker
):
    doomed = await start_worker(worker_concurrency=100)
    jobs = [await queue.enqueue("hold", [60]) for _ in range(100)]
    for _ in jobs:
        await journal.wait_for("hold 1")
    await start_worker(worker_concurrency=100)
    doomed.signal(signal.SIGKILL)
    with trio.fail_after(20):
        for job in jobs:
            assert await job.result() == "run 2"


@pytest.mark.slow
async def test_a_process_that_was_frozen_past_its_lease_writes_nothing_any_more(queue, journal, start_worker):
    frozen = await start_worker(lease=LEASE)
    job = await queue.enqueue("hold", [60])
    await journal.wait_for("hold 1")
    await freeze(frozen, queue)
    await start_worker(lease=LEASE)
    assert await job.result() == "run 2"
    frozen.signal(signal.SIGCONT)
    assert (await journal.wait_for("cancelled 1")).startswith(str(frozen.pid))
    frozen.signal(signal.SIGTERM)
    assert await frozen.wait() == 0
    record = await job.refresh()
    assert (record.state, record.run, record.crashes) == ("completed", 2, 1)


async def freeze(worker, queue):
    """Let the process stand still, but not in the midst of a commit: with SQLite no other process could write."""
    while True:
        worker.signal(signal.SIGSTOP)
        try:
            await queue.resume()  # a write like any other; it changes nothing
            return
        except trioq.BackendUnavailable:
            worker.signal(signal.SIGCONT)
            await trio.sleep(0.05)


@pytest.mark.slow
async def test_a_job_that_crashes_its_worker_three_times_fails_and_no_other_does(queue, journal, start_worker):
    crashing = await queue.enqueue("die")
    neighbours = []
    for _ in range(3):
        # The job that crashed the process before is still under its lease: this one is under way when that comes back.
        neighbours.append(await queue.enqueue("rest", [LEASE + 0.5]))
        worker = await start_worker(lease=LEASE)
        await journal.wait_for("die")
        assert await worker.wait() == 66
    await start_worker(lease=LEASE)
    with pytest.raises(trioq.JobFailed):
        await crashing.result()
    record = await crashing.refresh()
    assert (record.state, record.crashes, record.run) == ("failed", 3, 3)
    for neighbour in neighbours:
        await neighbour.result()
    assert (await neighbours[-1].refresh()).crashes == 0  # on its last life the crashing job ran alone
