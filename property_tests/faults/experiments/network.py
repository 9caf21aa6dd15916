"""What happens on the way to a server: resets, silence, and answers of which half arrives."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.experiments.restarting import DROPPED
from property_tests.faults.load import judge_with_recovery, steady_work
from property_tests.faults.measures import exit_times, pick_up_times
from property_tests.faults.result import Result
from property_tests.faults.stores import SERVERS
from property_tests.faults.trial import Trial
from tests.proxy import Proxy, all_of_them, listeners, none, proxy_before
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import Ended


@asynccontextmanager
async def _behind_a_proxy(bench: Bench, seconds: float) -> AsyncIterator[tuple[Trial, Proxy]]:
    async with proxy_before(bench.store) as proxy, steady_work(bench, seconds, port=proxy.port) as trial:
        yield trial, proxy


@experiment(
    promise="Nothing is lost or done twice, nothing stalls, and work flows again within three seconds.",
    stores=SERVERS,
    sample=2,
    goal=40,
    bars=(Bar("recovery", 0.99, 3),),
)
async def storms_of_resets(bench: Bench) -> Result:
    """Five times, for two seconds, every connection is reset every 50 to 500 milliseconds.

    What is said is on its way for 20 milliseconds then, so that each reset meets some requests there.
    """
    storms = 1 if bench.quick else 5
    async with _behind_a_proxy(bench, storms * 6 + 2) as (trial, proxy):
        for _ in range(storms):
            trial.note_fault("resets")
            proxy.delay = 0.02
            ends = time.monotonic() + 2
            while time.monotonic() < ends:
                await trio.sleep(random.uniform(0.05, 0.5))
                proxy.reset_all()
            proxy.delay = 0.0
            trial.note_end_of_fault("resets")
            await trio.sleep(4)
        return judge_with_recovery(await trial.history(within=60)) + Result(counts={"storms": storms})


@experiment(
    promise="Nothing is lost or done twice, nothing stalls, and work flows again within three seconds.",
    stores=SERVERS,
    sample=2,
    goal=25,
    bars=(Bar("recovery", 0.99, 3),),
)
async def silence(bench: Bench) -> Result:
    """For seven seconds, longer than a request is waited for, what is said arrives nowhere, and no connection breaks.

    In every second trial it arrives after that, late; else never.
    """
    async with _behind_a_proxy(bench, 15) as (trial, proxy):
        trial.note_fault("silence")
        proxy.hold(all_of_them)
        await trio.sleep(7)
        if bench.number % 2 == 0:
            proxy.reset_all()
        proxy.hold(none)
        trial.note_end_of_fault("silence")
        return judge_with_recovery(await trial.history(within=60))


@experiment(
    promise="Jobs begin all the same, since workers poll the store: every 2.5 s, and half a second.",
    stores=SERVERS,
    sample=2,
    goal=25,
    bars=(Bar("pick-up", 1, 3),),  # not POLL and something: a slower poll would break the promise
)
async def no_hint_arrives(bench: Bench) -> Result:
    """For ten seconds, the connections that listen for hints are silent; the others work."""
    seconds = 4 if bench.quick else 10
    async with proxy_before(bench.store) as proxy, bench.trial() as trial:
        way = bench.store.address(trial.folder, port=proxy.port)
        await trial.start_worker(store=way)
        proxy.hold(listeners)
        began = time.monotonic()
        await trial.produce(arguments=[[0.0]], count=int(seconds / 0.3), every=0.3)
        proxy.hold(none)
        history = await trial.history(within=30)
        return judge(history) + Result(faults=1, samples={"pick-up": pick_up_times(history, began, time.monotonic())})


@experiment(
    promise="What is asked again is done once: nothing is lost, and nothing twice.",
    stores=SERVERS,
    sample=3,
    goal=40,
)
async def answers_break_off(bench: Bench) -> Result:
    """Of every tenth answer, half arrives, and then the connection is reset: the server has done what it was asked."""
    seconds = 2 if bench.quick else 6
    async with _behind_a_proxy(bench, seconds + 1) as (trial, proxy):
        trial.note_fault("half answers")
        proxy.breaks_off = 0.1
        await trio.sleep(seconds)
        proxy.breaks_off = 0.0
        trial.note_end_of_fault("half answers")
        return judge(await trial.history(within=60))


@experiment(
    promise="What had ended is stored, what had not goes back: no attempt and no crash is spent.",
    stores=SERVERS,
    sample=2,
    goal=25,
)
async def stopped_while_nothing_gets_through(bench: Bench) -> Result:
    """Workers get SIGTERM while the store can't be reached for two seconds; some jobs end meanwhile, others don't."""
    jobs, away = (10, 0.7) if bench.quick else (40, 2)
    async with proxy_before(bench.store) as proxy, bench.trial() as trial:
        way = bench.store.address(trial.folder, port=proxy.port)
        stopped = [await trial.start_worker(store=way, concurrency=jobs // 2, grace=1.0, lease=3) for _ in range(2)]
        await trial.produce(arguments=[[0.5], [60, 0.0]], count=jobs)
        await trial.until_begun(jobs, within=20)
        trial.note_fault("cut off")
        proxy.break_all()
        for worker in stopped:
            worker.terminate()
        await trio.sleep(away)
        proxy.mend()
        trial.note_end_of_fault("cut off")
        for worker in stopped:
            await worker.ended.wait()
        await trial.start_worker(store=way, lease=3)
        history = await trial.history(within=30)
        spent = [f"{job.id} counts {job.crashes} crashes" for job in history.records.values() if job.crashes]
        return judge(history) + Result.wrong(spent)


@experiment(
    promise="Each worker ends within its grace and six seconds, and logs what it leaves to its lease: that runs again.",
    stores=SERVERS,
    sample=2,
    goal=25,
    bars=(Bar("exit", 1, 7),),
)
async def stopped_while_the_store_is_gone(bench: Bench) -> Result:
    """Workers with a grace of a second get SIGTERM, and the store can't be reached until they have ended."""
    jobs = 10 if bench.quick else 40
    async with proxy_before(bench.store) as proxy, bench.trial() as trial:
        way = bench.store.address(trial.folder, port=proxy.port)
        stopped = [await trial.start_worker(store=way, concurrency=jobs // 2, grace=1.0, lease=3) for _ in range(2)]
        await trial.produce(arguments=[[0.5, 0.0], [60, 0.0]], count=jobs)
        await trial.until_begun(jobs, within=20)
        under_way = {job.id for job in trial.begun()} - {end.job.id for end in trial.all(Ended)}
        trial.note_fault("cut off")
        proxy.break_all()
        for worker in stopped:
            worker.terminate()
        for worker in stopped:
            await worker.ended.wait()
        proxy.mend()
        trial.note_end_of_fault("cut off")
        logged = [line for line in trial.log().splitlines() if DROPPED in line]
        await trial.start_worker(store=way, lease=3)
        history = await trial.history(within=30)
        wrong = [f"no log names {job}, which ran again" for job in under_way if not any(job in line for line in logged)]
        wrong += [f"{job.id} counts {job.crashes} crashes" for job in history.records.values() if job.crashes > 1]
        dropped = (rules.what_is_lost_is_told,)
        return judge(history, without=dropped) + Result.wrong(wrong) + Result(samples={"exit": exit_times(history)})
