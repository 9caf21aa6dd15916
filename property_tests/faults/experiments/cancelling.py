"""Cancels from another process, and limits, while workers die."""

from __future__ import annotations

import random
import time

import trio

import trioq
from property_tests.faults.application import NAME
from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.result import Result, Samples
from property_tests.faults.stores import EVERY
from trioq.testing.simulation.history import Began, Ended


@experiment(
    promise="What the cancel answers is how the job ends, and a running handler stops within a second.",
    stores=EVERY,
    sample=3,
    goal=25,
    bars=(Bar("stopped after", 0.99, 1),),
)
async def cancels_at_any_moment(bench: Bench) -> Result:
    """Another process cancels jobs that wait, begin, run, or have just ended."""
    count = 40 if bench.quick else 150
    asked: dict[str, float] = {}
    answers: dict[str, bool] = {}
    async with bench.trial() as trial:
        for _ in range(2):
            await trial.start_worker(concurrency=20)
        queue = trioq.Queue(NAME, backend=trial.backend)

        async def cancel(id: str) -> None:
            await trio.sleep(random.uniform(0, 0.5))
            asked[id] = time.monotonic()
            answers[id] = await queue.cancel(id, "changed our mind")

        async with queue, trio.open_nursery() as nursery:
            producer = await trial.start_producer(arguments=[[0.01], [0.2], [60]], count=count, every=0.01)
            for number in range(count):
                id = f"{producer.who}-{number}"
                await trial.until_acknowledged(number + 1, within=20)
                nursery.start_soon(cancel, id)
        history = await trial.history(within=20)
        wrong = [
            f"{job.id} is {job.state}, and its cancel answered {answers[job.id]}"
            for job in history.records.values()
            if (job.state == "cancelled") != answers[job.id]
        ]
        stopped = [end.at - asked[end.job.id] for end in history.all(Ended) if end.how == "cancelled"]
        return (
            judge(history) + Result.wrong(wrong) + Result(faults=count, samples={"stopped after": Samples.of(stopped)})
        )


@experiment(
    promise="No worker has more handlers under way than slots, or more starts in any window than its rate.",
    stores=EVERY,
    sample=2,
    goal=25,
)
async def limits_while_workers_die(bench: Bench) -> Result:
    """Three workers with three slots, and a rate of twenty a second, are killed one after another and replaced."""
    config = {"concurrency": 3, "rate": (20, 1.0), "lease": 2}
    async with bench.trial() as trial:
        workers = [await trial.start_worker(**config) for _ in range(3)]
        count = 60 if bench.quick else 300
        await trial.produce(arguments=[[0.0], [0.1]], count=count, hands=8, settings={"max_crashes": 1_000})
        for place in range(1 if bench.quick else 3):
            await trio.sleep(random.uniform(0.5, 1))
            workers[place].kill()
            workers[place] = await trial.start_worker(**config)
        history = await trial.history(within=60)
        return judge(history) + Result(counts={"starts": len(history.all(Began))})
