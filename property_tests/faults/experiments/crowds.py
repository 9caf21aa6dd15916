"""Many workers for one job, many jobs in one moment, and a worker that may open no file."""

from __future__ import annotations

import resource
import time

import trio

from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.measures import pick_up_times, recovery_times
from property_tests.faults.result import Result, Samples
from property_tests.faults.stores import EVERY, SERVERS
from tests.proxy import proxy_before
from trioq.testing.simulation.history import Began


@experiment(
    promise="Each runs once, and begins within a second.",
    stores=EVERY,
    sample=1,
    goal=10,
    at_once=1,
    bars=(Bar("pick-up", 0.99, 1),),
)
async def fifty_workers_and_one_job(bench: Bench) -> Result:
    """Fifty idle workers, and a job every fifth of a second."""
    async with bench.trial() as trial:
        for _ in range(10 if bench.quick else 50):
            await trial.start_worker()
        began = time.monotonic()
        await trial.produce(arguments=[[0.0]], count=5 if bench.quick else 40, every=0.2)
        history = await trial.history(within=30)
        return judge(history) + Result(samples={"pick-up": pick_up_times(history, began, time.monotonic())})


@experiment(
    promise="None begins too early, and none is forgotten.",
    stores=EVERY,
    sample=1,
    goal=10,
    at_once=1,
    bars=(Bar("late", 0.99, 10),),
)
async def ten_thousand_jobs_due_at_once(bench: Bench) -> Result:
    """Ten thousand jobs are due in the same microsecond, for four workers."""
    count = 500 if bench.quick else 10_000
    due_in = 1 if bench.quick else 8
    async with bench.trial() as trial:
        for _ in range(4):
            await trial.start_worker(concurrency=50)
        await trial.produce(arguments=[[0.0]], count=count, hands=100, due_in=due_in)
        history = await trial.history(within=90)
        ahead = time.time() - time.monotonic()
        late = [entry.at + ahead - history.records[entry.job.id].run_at for entry in history.all(Began)]
        early = [f"{-seconds:.3f} s too early" for seconds in late if seconds < 0]
        return (
            judge(history) + Result.wrong(early) + Result(samples={"late": Samples.of(max(0.0, each) for each in late)})
        )


@experiment(
    promise="Work flows again within three seconds, and nothing is left open at the end.",
    stores=SERVERS,
    sample=2,
    goal=25,
    bars=(Bar("recovery", 0.99, 3),),
)
async def a_worker_may_open_no_file(bench: Bench) -> Result:
    """For two seconds a worker may open no file and no socket (``EMFILE``), and its connections are reset."""
    async with proxy_before(bench.store) as proxy, bench.trial() as trial:
        worker = await trial.start_worker(store=bench.store.address(trial.folder, port=proxy.port))
        await trial.start_producer(arguments=[[0.0]], count=700, every=0.01, hands=8)
        await trio.sleep(1)
        trial.note_fault("no files")
        worker.limit(resource.RLIMIT_NOFILE, 3)
        proxy.reset_all()
        await trio.sleep(2)
        worker.limit(resource.RLIMIT_NOFILE, None)
        trial.note_end_of_fault("no files")
        history = await trial.history(within=30)
        return judge(history) + Result(samples={"recovery": recovery_times(history, 100)})


@experiment(
    promise="Every lease holds: no healthy worker is taken for dead, and nothing runs twice.",
    stores=SERVERS,
    sample=2,
    goal=20,
)
async def a_slow_way(bench: Bench) -> Result:
    """Every answer takes 0.45 s, and the lease is 3 s, of which a write may take a third: enough for two questions."""
    async with proxy_before(bench.store) as proxy, bench.trial() as trial:
        way = bench.store.address(trial.folder, port=proxy.port)
        for _ in range(2):
            await trial.start_worker(store=way, lease=3, concurrency=30)
        proxy.delay = 0.225
        await trial.produce(arguments=[[0.1], [4]], count=20 if bench.quick else 100, hands=20)
        history = await trial.history(within=60)
        return judge(history) + Result(faults=1)
