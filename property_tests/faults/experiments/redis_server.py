"""What happens to a Redis server alone: it is full, or would make room by throwing jobs away."""

from __future__ import annotations

from contextlib import suppress

import trio

import trioq
from property_tests.faults.application import NAME
from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.load import judge_with_recovery, other_errors, steady_work
from property_tests.faults.result import Result
from property_tests.faults.stores.redis import OwnServer
from property_tests.faults.trial import Trial


@experiment(
    promise="``enqueue`` raises `trioq.BackendUnavailable`, nothing is lost; work flows again within three seconds.",
    stores=("redis",),
    sample=2,
    goal=25,
    alone=True,
    bars=(Bar("recovery", 0.99, 3),),
)
async def the_server_is_full(bench: Bench) -> Result:
    """For two seconds, ``maxmemory`` is below what it has, with ``noeviction``.

    Meanwhile a worker is killed, which has outcomes that were refused; and a client tries to cancel jobs, in vain.
    """
    assert isinstance(bench.store, OwnServer)
    async with steady_work(bench, 7) as trial:
        victim = await trial.start_worker(lease=3)
        waiting = await trial.produce(arguments=[[0.0]], count=5, due_in=5)
        await trio.sleep(1)
        trial.note_fault("full")
        bench.store.server.command("CONFIG", "SET", "maxmemory", "1")
        await trio.sleep(1)
        victim.kill()
        wrong = await _cancel_in_vain(trial, [f"{waiting.who}-{number}" for number in range(5)])
        await trio.sleep(1)
        bench.store.server.command("CONFIG", "SET", "maxmemory", "0")
        trial.note_end_of_fault("full")
        history = await trial.history(within=60)
        return judge_with_recovery(history) + other_errors(history) + Result.wrong(wrong)


async def _cancel_in_vain(trial: Trial, ids: list[str]) -> list[str]:
    taken = []
    async with trioq.Queue(NAME, backend=trial.backend) as queue:
        for id in ids:
            with suppress(trioq.BackendUnavailable):
                taken.append(f"the cancel of {id} answered {await queue.cancel(id)}")
    return taken


@experiment(
    promise="Each process that opens the store is warned that it will throw jobs away.",
    stores=("redis",),
    sample=1,
    goal=5,
    alone=True,
)
async def the_server_would_evict(bench: Bench) -> Result:
    """``maxmemory-policy allkeys-lru``."""
    assert isinstance(bench.store, OwnServer)
    bench.store.server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    async with bench.trial() as trial:
        await trial.start_worker()
        warned = "THROW JOBS AWAY" in trial.log()
        history = await trial.history(within=10)
        return judge(history) + Result.wrong([] if warned else ["there was no warning"]) + Result(faults=1)
