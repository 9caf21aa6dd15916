"""kill -9: of a worker at each of its operations, at any moment, and of many at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import trio

from property_tests.faults.crashing_backend import MOMENTS
from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.measures import restart_times
from property_tests.faults.result import Result
from property_tests.faults.stores import EVERY
from property_tests.faults.trial import Trial

#: The verbs that a worker calls, and within how many calls it is to die: a claim and a settle come for each few jobs.
_VERBS: Final = {"claim": 6, "settle": 6, "renew": 3, "overdue": 2, "get": 1}

#: Crashes are what these experiments make; they are not to end any job.
_PATIENT: Final = {"max_crashes": 1_000}

_LEASE: Final = 2


@experiment(
    promise="Nothing is lost or done twice; every job ends.",
    stores=EVERY,
    sample=3,
    goal=60,
)
async def killed_at_each_operation(bench: Bench) -> Result:
    """A worker dies before a call leaves, while it is on its way, or with the answer in hand.

    It claims, settles, renews or sweeps then.  Three at a time, and when one is dead another one takes its place.
    """
    async with bench.trial() as trial:
        await trial.start_worker(lease=_LEASE)
        victims = 3 if bench.quick else 9
        crashes = [(verb, random.randint(1, most), moment) for verb, most in _VERBS.items() for moment in MOMENTS]
        fates = iter(random.sample(crashes, victims))
        await trial.start_producer(arguments=[[0.02], [0.2], [0.6]], count=victims * 12, every=0.1, settings=_PATIENT)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(_die_one_after_another, trial, fates)
        return judge(await trial.history(within=60))


async def _die_one_after_another(trial: Trial, fates: Iterator[tuple[str, int, str]]) -> None:
    for fate in fates:
        victim = await trial.start_worker(lease=_LEASE, crash=fate)
        with trio.move_on_after(10):
            await victim.ended.wait()
        if victim.runs:  # it never came to that call
            victim.kill()
            await victim.ended.wait()


@experiment(
    promise="Nothing is lost or done twice; every job ends.",
    stores=EVERY,
    sample=3,
    goal=40,
)
async def killed_at_any_moment(bench: Bench) -> Result:
    """Four workers are busy; every few tenths of a second one is killed from outside, and another takes its place."""
    async with bench.trial() as trial:
        workers = [await trial.start_worker(lease=_LEASE) for _ in range(4)]
        kills = 3 if bench.quick else 10
        producer = await trial.start_producer(
            arguments=[[0.0], [0.05], [0.5]], count=kills * 30, every=0.015, hands=3, settings=_PATIENT
        )
        for _ in range(kills):
            await trio.sleep(random.uniform(0.1, 0.7))
            place = random.randrange(len(workers))
            workers[place].kill()
            workers[place] = await trial.start_worker(lease=_LEASE)
        await producer.ended.wait()
        return judge(await trial.history(within=60))


async def restart(bench: Bench, lease: float, victims: int) -> Result:
    """So many workers with two jobs each are killed at once, and one is left: how long until their jobs begin there."""
    async with bench.trial() as trial:
        killed = [await trial.start_worker(lease=lease, concurrency=2) for _ in range(victims)]
        total = victims * 2
        await trial.produce(arguments=[[600.0, 0.0]], count=total)
        await trial.until_begun(total, within=30)
        await trial.start_worker(lease=lease, concurrency=total)
        await trio.sleep(random.uniform(0, lease / 4))
        for victim in killed:
            victim.kill()
        history = await trial.history(within=3 * lease + 30)
        wrong = [f"{job.id} counts {job.crashes} crashes" for job in history.records.values() if job.crashes > 1]
        return judge(history) + Result.wrong(wrong) + Result(samples={"restart": restart_times(history)})


@experiment(
    promise="Their jobs begin elsewhere within 20 s.",
    stores=EVERY,
    sample=5,
    goal=25,
    at_once=5,
    bars=(Bar("restart", 0.99, 20),),
)
async def twenty_workers_killed_at_once(bench: Bench) -> Result:
    """Twenty workers with default settings are killed at once, each with two jobs under way; one worker is left."""
    return await restart(bench, lease=15, victims=3 if bench.quick else 20)


@experiment(
    promise="Their jobs begin elsewhere within 4 s.",
    stores=EVERY,
    sample=5,
    goal=25,
    at_once=5,
    bars=(Bar("restart", 0.99, 4),),
)
async def twenty_workers_killed_at_once_lease_3(bench: Bench) -> Result:
    """The same with ``lease=3``."""
    return await restart(bench, lease=3, victims=3 if bench.quick else 20)
