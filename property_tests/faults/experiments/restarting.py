"""Deployments, and jobs that no deployment survives: what a service manager does, and what it sees."""

from __future__ import annotations

import random
from typing import Final

import trio

from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.measures import exit_times
from property_tests.faults.result import Result
from property_tests.faults.stores import EVERY
from trioq.testing.simulation.history import Struck

_GRACE = 1.5

#: What a worker logs whose last outcomes the store did not take before it had to end.
DROPPED: Final = "did not take these outcomes in time"


@experiment(
    promise="Nothing is lost, each outcome is stored, no attempt is spent; each ends within its grace and a second.",
    stores=EVERY,
    sample=3,
    goal=25,
    bars=(Bar("exit", 1, _GRACE + 1),),
)
async def rolling_restarts(bench: Bench) -> Result:
    """Twenty times, one of four workers gets SIGTERM, and another takes its place; some jobs outlast the grace."""
    async with bench.trial() as trial:
        workers = [await trial.start_worker(grace=_GRACE) for _ in range(4)]
        restarts = 5 if bench.quick else 20
        producer = await trial.start_producer(
            arguments=[[0.05], [0.3], [4, 0.3]], count=restarts * 15, every=0.03, hands=2
        )
        for number in range(restarts):
            await trio.sleep(random.uniform(0.1, 0.8))
            workers[number % 4].terminate()
            workers[number % 4] = await trial.start_worker(grace=_GRACE)
        await producer.ended.wait()
        history = await trial.history(within=60)
        spent = [
            f"{job.id} has spent {job.failures} failures and {job.crashes} crashes"
            for job in history.records.values()
            if job.failures or job.crashes
        ]
        wrong = spent + [line for line in trial.log().splitlines() if DROPPED in line]
        return judge(history) + Result.wrong(wrong) + Result(faults=restarts, samples={"exit": exit_times(history)})


@experiment(
    promise="Each is a dead letter after three crashes, alone in the last one; every other job is completed.",
    stores=EVERY,
    sample=2,
    goal=20,
)
async def poison_pills(bench: Bench) -> Result:
    """One job calls ``os._exit``, and one dies of a segmentation fault, whatever worker runs them; two are kept up."""
    pills = [["exit"]] if bench.quick else [["exit"], ["SIGSEGV"]]
    async with bench.trial() as trial:
        async with trial.keeping_up(2, lease=1.5, concurrency=8):
            await trial.produce(task="die", arguments=pills, count=len(pills))
            await trial.produce(arguments=[[0.3]], count=60, every=0.05)
            await trial.until_all_ended(within=90)
        history = await trial.history(within=10)
        poisoned = [job for job in history.records.values() if job.task == "die"]
        wrong = [f"{job.id} is {job.state} after {job.crashes} crashes" for job in poisoned if job.crashes != 3]
        wrong += [
            f"{job.id} is {job.state}: it was no poison"
            for job in history.records.values()
            if job.task != "die" and job.state != "completed"
        ]
        deaths = len(history.all(Struck))
        if deaths > 3 * len(pills):  # fewer where two pills die together
            wrong.append(f"{deaths} processes died of {len(pills)} jobs")
        return judge(history) + Result.wrong(wrong)
