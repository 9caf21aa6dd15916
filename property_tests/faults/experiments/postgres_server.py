"""What happens to a PostgreSQL server alone: connections are ended, one process dies, it takes no writes."""

from __future__ import annotations

import random
import time
from contextlib import closing
from typing import Final

import psycopg
import trio

from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.load import judge_with_recovery, other_errors, steady_work
from property_tests.faults.measures import pick_up_times
from property_tests.faults.result import Result
from property_tests.faults.stores.postgres import OwnServer

#: The processes of the server that work for the workers and the producer.
_OURS: Final = "FROM pg_stat_activity WHERE application_name = 'trioq'"


@experiment(
    promise="Nothing is lost or done twice, nothing stalls, and work flows again within three seconds.",
    stores=("postgresql",),
    sample=2,
    goal=25,
    alone=True,
    bars=(Bar("recovery", 0.99, 3),),
)
async def connections_are_terminated(bench: Bench) -> Result:
    """Three times, for two seconds, ``pg_terminate_backend`` ends every connection every 50 to 500 milliseconds."""
    storms = 1 if bench.quick else 3
    assert isinstance(bench.store, OwnServer)
    async with steady_work(bench, storms * 5 + 2) as trial:
        for _ in range(storms):
            trial.note_fault("terminated")
            ends = time.monotonic() + 2
            while time.monotonic() < ends:
                await trio.sleep(random.uniform(0.05, 0.5))
                await trio.to_thread.run_sync(bench.store.server.sql, f"SELECT pg_terminate_backend(pid) {_OURS}")
            trial.note_end_of_fault("terminated")
            await trio.sleep(3)
        return judge_with_recovery(await trial.history(within=60))


@experiment(
    promise="Nothing is lost or done twice, and work flows again within three seconds.",
    stores=("postgresql",),
    sample=2,
    goal=25,
    alone=True,
    bars=(Bar("recovery", 0.99, 3),),
)
async def one_process_of_the_server_is_killed(bench: Bench) -> Result:
    """Kill -9 of one of its processes, as when memory runs out: the server then ends all others, and recovers."""
    kills = 1 if bench.quick else 3
    assert isinstance(bench.store, OwnServer)
    async with steady_work(bench, kills * 5 + 2) as trial:
        for _ in range(kills):
            trial.note_fault("crashed")
            await trio.to_thread.run_sync(_crash, bench.store)
            trial.note_end_of_fault("crashed")
            await trio.sleep(4)
        return judge_with_recovery(await trial.history(within=60))


def _crash(store: OwnServer) -> None:
    """Returns when the server takes connections again."""
    [[pid]] = store.server.sql(f"SELECT pid {_OURS} ORDER BY random() LIMIT 1")
    store.crash(pid)


@experiment(
    promise="``enqueue`` raises `trioq.BackendUnavailable`, nothing is lost; work flows again within three seconds.",
    stores=("postgresql",),
    sample=2,
    goal=25,
    alone=True,
    bars=(Bar("recovery", 0.99, 3),),
)
async def the_server_is_read_only(bench: Bench) -> Result:
    """For two seconds it takes no writes: ``default_transaction_read_only``, as after a failover."""
    assert isinstance(bench.store, OwnServer)
    async with steady_work(bench, 6) as trial:
        trial.note_fault("read-only")
        await trio.to_thread.run_sync(bench.store.set, "default_transaction_read_only", "on")
        await trio.sleep(2)
        await trio.to_thread.run_sync(bench.store.set, "default_transaction_read_only", "off")
        trial.note_end_of_fault("read-only")
        history = await trial.history(within=60)
        return judge_with_recovery(history) + other_errors(history)


@experiment(
    promise="Jobs begin as fast as before, within a quarter of a second; no lease runs out.",
    stores=("postgresql",),
    sample=1,
    goal=5,
    at_once=1,
    bars=(Bar("pick-up in the last ten seconds", 0.99, 0.25),),
)
async def a_transaction_is_left_open(bench: Bench) -> Result:
    """For a minute another client has a snapshot, so that no old version of any row can be cleared away.

    Meanwhile 200 jobs a second are enqueued, claimed and settled, each in a new version of its row.
    """
    seconds, rate = (5 if bench.quick else 60), 200
    assert isinstance(bench.store, OwnServer)
    async with bench.trial() as trial:
        for _ in range(2):
            await trial.start_worker()
        with closing(psycopg.connect(bench.store.server.url)) as other_client:
            other_client.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            other_client.execute("SELECT 1")
            began = time.monotonic()
            await trial.produce(arguments=[[0.0]], count=seconds * rate, every=1 / rate, hands=8)
            ended = time.monotonic()
        history = await trial.history(within=60)
        first = pick_up_times(history, began, began + 10)
        last = pick_up_times(history, ended - 10, ended)
        named = {"pick-up in the first ten seconds": first, "pick-up in the last ten seconds": last}
        return judge(history) + Result(faults=1, samples=named)
