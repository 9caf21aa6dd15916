"""What happens to any server: its process is killed, once or again and again, or a client empties it."""

from __future__ import annotations

import random
from collections import Counter
from typing import Final

import trio

from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.history import acknowledged
from property_tests.faults.load import judge_with_recovery, outages_told, steady_work
from property_tests.faults.result import Result, Samples
from property_tests.faults.stores import DURABLE, SERVERS
from property_tests.faults.trial import Trial
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Ended, Healed, History, Struck
from trioq.testing.simulation.rules.reading import told_of_jobs

#: What can't hold when a store forgets: that jobs are there, and that one that is asked for again goes on.
_FORGETS: Final = (
    rules.nothing_acknowledged_is_lost,
    rules.an_enqueue_is_answered_truly,
    rules.no_stale_write_is_accepted,
    rules.every_step_is_legal,
    rules.what_begins_was_claimed,
    rules.no_job_has_more_attempts_than_it_may,
    rules.every_handler_is_told,
    rules.no_step_is_told_twice,
)


#: Jobs under way that would take a minute.
_LONG: Final = 5


@experiment(
    promise="What a store says it keeps is there, and work flows again within three seconds.",
    stores=(
        "redis",
        "redis, appendfsync everysec",
        "redis, appendfsync always",
        "postgresql, synchronous_commit off",
        "postgresql",
    ),
    sample=2,
    goal=25,
    alone=True,
    bars=(Bar("recovery", 0.99, 3),),
)
async def the_server_is_killed(bench: Bench) -> Result:
    """Kill -9 of the server under load, and a restart half a second later.

    Redis keeps nothing without ``appendonly``; PostgreSQL without ``synchronous_commit`` has some tenths of a second in
    memory.  Both are counted: *lost* jobs are gone although they were answered, *undone* ones have ended and run again.
    """
    async with steady_work(bench, 5) as trial:
        await trio.sleep(random.uniform(0, 0.5))
        await _kill_and_start(bench, trial, 0.5)
        history = await trial.history(within=60)
        forgets = () if bench.store.durable else _FORGETS
        return judge_with_recovery(history, without=forgets) + _losses(history)


def _losses(history: History) -> Result:
    """What was answered before the kill, and how long before, and is not so any more; later nothing may be lost."""
    [[killed], [healed]] = history.all(Struck), history.all(Healed)
    lost = {id: at for id, at in acknowledged(history.entries).items() if id not in history.records}
    later = Result.wrong(f"{id} was enqueued after that" for id, at in lost.items() if at > healed.at)
    ages = Samples.of(max(0.0, killed.at - at) for at in lost.values())
    completed = Counter(event.job.id for _, event in told_of_jobs(history) if event.name == "job:completed")
    undone = sum(times > 1 for times in completed.values())
    return later + Result(counts={"lost": len(lost), "undone": undone}, samples={"age of what is lost": ages})


@experiment(
    promise="Nothing that was answered is lost, or done a second time.",
    stores=DURABLE,
    sample=2,
    goal=25,
    alone=True,
)
async def a_server_is_killed_again_and_again(bench: Bench) -> Result:
    """Kill -9 of the server at random moments, under load, and a restart up to a second later: eight times."""
    kills = 2 if bench.quick else 8
    async with steady_work(bench, 2 * kills) as trial:
        for _ in range(kills):
            await trio.sleep(random.uniform(0.3, 2))
            await _kill_and_start(bench, trial, random.uniform(0, 1))
        return judge(await trial.history(within=60))


async def _kill_and_start(bench: Bench, trial: Trial, pause: float) -> None:
    trial.note_fault("killed")
    await trio.to_thread.run_sync(bench.store.kill)
    await trio.sleep(pause)
    await trio.to_thread.run_sync(bench.store.start)
    trial.note_end_of_fault("killed")


@experiment(
    promise="Handlers that run are stopped, workers live, and what is enqueued from then on is done.",
    stores=SERVERS,
    sample=2,
    goal=25,
    alone=True,
)
async def the_store_is_emptied(bench: Bench) -> Result:
    """``FLUSHALL`` and ``SCRIPT FLUSH``, or ``TRUNCATE``, under load."""
    async with bench.trial() as trial:
        for _ in range(2):
            await trial.start_worker(lease=2)
        await trial.produce(arguments=[[60]], count=_LONG)
        await trial.until_begun(_LONG, within=20)
        await trial.produce(arguments=[[0.5]], count=100)
        trial.note_fault("emptied")
        await trio.to_thread.run_sync(bench.store.empty, trial.folder)
        before = set(trial.acknowledged)
        await trial.until(lambda: sum(end.how == "cancelled" for end in trial.all(Ended)) >= _LONG, within=10)
        await trial.produce(arguments=[[0.01]], count=100)
        history = await trial.history(within=30)
        later = acknowledged(history.entries).keys() - before
        lost = [f"{id} was enqueued after that" for id in later if id not in history.records]
        return judge(history, without=_FORGETS) + Result.wrong(lost + outages_told(history))
