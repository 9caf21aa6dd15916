"""Workers that stand still beyond their lease and then go on as if nothing had been, and workers that are just slow."""

from __future__ import annotations

import random

import trio

from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.measures import stop_times
from property_tests.faults.result import Result
from property_tests.faults.stores import EVERY
from trioq.testing.simulation.history import Began, Ended, Told

_LEASE = 2


@experiment(
    promise="Nothing that the frozen worker writes is accepted, and it stops those jobs within a second.",
    stores=EVERY,
    sample=3,
    goal=40,
    bars=(Bar("stopped after", 0.99, 1),),
)
async def a_frozen_worker_wakes_up(bench: Bench) -> Result:
    """SIGSTOP for twice the lease, while another worker takes the jobs over, and then SIGCONT.

    Half of the jobs end in the moment in which it wakes up, so that it tries to settle them; the others would go on.
    """
    jobs = 10 if bench.quick else 25
    async with bench.trial() as trial:
        zombie = await trial.start_worker(lease=_LEASE, concurrency=jobs)
        await trial.produce(arguments=[[2.5, 0.1], [60, 5]], count=jobs)
        await trial.until_begun(jobs, within=60)
        zombie.freeze()
        while bench.store.is_locked(trial.folder):  # in the middle of a commit: then no other process can write
            zombie.thaw()
            await trio.sleep(0.05)
            zombie.freeze()
        await trial.start_worker(lease=_LEASE, concurrency=jobs)
        await trio.sleep(2 * _LEASE)
        under_way = {job.id for job in trial.begun()} - {end.job.id for end in trial.all(Ended)}
        await trial.until(lambda: under_way <= {job.id for job in trial.begun() if job.run > 1}, within=60)
        zombie.thaw()
        history = await trial.history(within=30)
        refused = sum(told.event.name == "job:lost" for told in history.all(Told))
        return judge(history) + Result(counts={"stale runs": refused}, samples={"stopped after": stop_times(history)})


@experiment(
    promise="Others take the jobs over, nothing that the blocked worker still writes is accepted, and its log says so.",
    stores=EVERY,
    sample=2,
    goal=25,
    at_once=6,
)
async def a_handler_blocks_the_event_loop(bench: Bench) -> Result:
    """A handler computes for two to six leases without a checkpoint, beside others that wait."""
    async with bench.trial() as trial:
        await trial.start_worker(lease=_LEASE, concurrency=10)
        await trial.produce(arguments=[[1.0]], count=8)
        await trial.until_begun(8, within=60)
        await trial.produce(task="block", arguments=[[random.uniform(2, 6) * _LEASE]], count=1)
        await trial.start_worker(lease=_LEASE, concurrency=10)
        history = await trial.history(within=60)
        told = "the event loop was blocked" in trial.log()
        return judge(history) + Result.wrong([] if told else ["the log says nothing of it"])


@experiment(
    promise="Each of them runs exactly once.",
    stores=EVERY,
    sample=2,
    goal=10,
    at_once=6,
)
async def jobs_that_take_twenty_leases(bench: Bench) -> Result:
    """Two healthy workers run jobs that take twenty times as long as their lease."""
    async with bench.trial() as trial:
        for _ in range(2):
            await trial.start_worker(lease=1, concurrency=50)
        await trial.produce(arguments=[[3.0 if bench.quick else 20.0]], count=100)
        history = await trial.history(within=60)
        again = [f"{began.job.id} runs again" for began in history.all(Began) if began.job.run > 1]
        return judge(history) + Result.wrong(again)
