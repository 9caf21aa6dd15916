"""Several processes on one store: each job runs once, and the others learn at once what one of them does.

``pytest -rP`` shows how soon; only a wide margin is asserted.
"""

from __future__ import annotations

import time
from collections import Counter
from statistics import median

import pytest
import trio

pytestmark = pytest.mark.slow

#: Seconds within which another process has noticed, on a machine that is busy.  Promised are 0.1.
SOON = 5


async def test_two_processes_run_each_of_five_thousand_jobs_once(queue, journal, start_worker):
    @queue.task
    async def count(number: int) -> None:
        """What a producer needs of the application's task."""

    total = 5_000
    await queue.pause()  # both are to be there when it begins
    await queue.enqueue_many(count.bind(number) for number in range(total))
    workers = [await start_worker(worker_concurrency=20) for _ in range(2)]
    await queue.resume()
    ran: Counter[int] = Counter()
    pids: set[int] = set()
    for _ in range(total):
        pid, _, number = (await journal.read()).split()
        ran[int(number)] += 1
        pids.add(int(pid))
    assert ran == Counter(range(total))
    assert pids == {worker.pid for worker in workers}
    async for job in queue.jobs():
        if not job.state.final:  # what has run may still be on its way back
            await queue.wait_ended(job.id)
    assert {(job.state, job.run) async for job in queue.jobs()} == {("completed", 1)}
    journal.check_read()


async def test_a_job_that_is_cancelled_stops_in_the_process_that_runs_it(queue, journal, start_worker):
    await start_worker(lease=60)  # it would learn of it at the next renewal, too, but that is 15 s away
    job = await queue.enqueue("hold", [60])
    await journal.wait_for("hold 1")
    began = trio.current_time()
    assert await job.cancel(reason="changed my mind")
    await journal.wait_for("cancelled 1")
    elapsed = trio.current_time() - began
    print(f"cancelled after {elapsed * 1e3:.1f} ms")  # noqa: T201  for -rP
    assert elapsed < SOON
    record = await job.refresh()
    assert (record.state, record.cancel_reason, record.run) == ("cancelled", "changed my mind", 1)


async def test_a_pause_keeps_every_process_from_claiming(queue, journal, start_worker):
    await start_worker()
    await queue.pause()
    jobs = [await queue.enqueue("count", [number]) for number in range(10)]
    await start_worker()  # by the time that it has started, the other has had its chance
    assert (await queue.counts())["waiting"] == 10
    journal.check_read()
    await queue.resume()
    for job in jobs:
        await job.result()


async def test_a_resume_takes_effect_at_once_in_another_process(queue, start_worker):
    await start_worker()
    waits = []
    for _ in range(5):
        await queue.pause()
        job = await queue.enqueue("count", [1])
        began = trio.current_time()
        await queue.resume()
        await job.result()
        waits.append(trio.current_time() - began)
    print(f"resumed after {median(waits) * 1e3:.1f} ms (p50)")  # noqa: T201  for -rP
    assert median(waits) < 0.5  # a worker that only polls would take 1.2 s


async def test_an_idle_worker_picks_up_at_once_what_another_process_enqueues(queue, start_worker):
    await start_worker()
    ages = []
    for _ in range(30):
        job = await queue.enqueue("age", [time.time()])
        ages.append(await job.result())
    print(f"picked up after {median(ages) * 1e3:.1f} ms (p50)")  # noqa: T201  for -rP
    assert median(ages) < 1


async def test_a_delayed_job_of_another_process_is_started_when_it_is_due(queue, start_worker):
    await start_worker()
    job = await queue.enqueue("age", [time.time()], delay=0.3)
    assert 0.3 <= await job.result() < 0.3 + SOON
