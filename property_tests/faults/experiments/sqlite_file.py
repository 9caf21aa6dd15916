"""What happens to a SQLite file: it is copied at any moment, its disk is full, and four processes fight over it."""

from __future__ import annotations

import random
import resource
import shutil
import sqlite3
from contextlib import closing

import trio

import trioq
from property_tests.faults.application import NAME
from property_tests.faults.experiment import Bar, Bench, experiment, judge
from property_tests.faults.load import judge_with_recovery, other_errors, outages_told, steady_work
from property_tests.faults.result import Result, Samples
from property_tests.faults.trial import Trial
from trioq.events import JobCompleted
from trioq.testing.simulation.history import Told, Unanswered


@experiment(
    promise="Every copy is whole, and has all that was answered before it.",
    stores=("sqlite",),
    sample=4,
    goal=50,
)
async def the_file_is_copied_at_any_moment(bench: Bench) -> Result:
    """All processes stand still at some moment, and the file and its log are copied, as a crash would leave them.

    Every second copy has half a page of rubbish at the end of its log, as a write leaves it that was cut off.
    """
    copies = 4 if bench.quick else 20
    wrong: list[str] = []
    async with bench.trial() as trial:
        for _ in range(2):
            await trial.start_worker()
        await trial.start_producer(arguments=[[0.0]], count=copies * 60, every=0.002, hands=2)
        for number in range(copies):
            await trio.sleep(random.uniform(0.02, 0.2))
            wrong += _look_at_copy(trial, number)
        return judge(await trial.history(within=60)) + Result.wrong(wrong) + Result(counts={"copies": copies})


def _look_at_copy(trial: Trial, number: int) -> list[str]:
    """Freeze, copy, thaw; and what is wrong with the copy."""
    folder = trial.folder / f"copy-{number}"
    folder.mkdir()
    for process in trial.processes:
        process.freeze()
    answered = trial.acknowledged.keys()
    completed = {told.event.job.id for told in trial.all(Told) if isinstance(told.event, JobCompleted)}
    for name in ("jobs.db", "jobs.db-wal"):
        shutil.copy(trial.folder / name, folder)
    for process in trial.processes:
        process.thaw()
    if number % 2:
        with (folder / "jobs.db-wal").open("ab") as log:
            log.write(random.randbytes(2_000))
    with closing(sqlite3.connect(folder / "jobs.db")) as db:
        [[integrity]] = db.execute("PRAGMA integrity_check")
        there = dict(db.execute("SELECT id, state FROM jobs"))
    shutil.rmtree(folder)
    wrong = [] if integrity == "ok" else [f"copy {number}: {integrity}"]
    wrong += [f"copy {number} lacks {job}, which was acknowledged" for job in answered - there.keys()]
    wrong += [f"copy {number} has {job} as {there[job]}" for job in completed if there.get(job) != "completed"]
    return wrong


#: As large as a file may become in the experiment below.  The log of the database is what grows.
_FULL = 700_000


@experiment(
    promise="``enqueue`` raises `trioq.BackendUnavailable`, nothing is half-written; it goes on within a second.",
    stores=("sqlite",),
    sample=4,
    goal=25,
    bars=(Bar("resumed after", 0.99, 1),),
)
async def the_disk_is_full(bench: Bench) -> Result:
    """For two seconds no file of a worker and a producer may grow, and then it may again."""
    async with bench.trial() as trial:
        worker = await trial.start_worker()
        producer = await trial.start_producer(task="echo", arguments=[["x" * 20_000]], count=200, every=0.02)
        await trio.sleep(0.3)
        trial.note_fault("full")
        for process in (worker, producer):
            process.limit(resource.RLIMIT_FSIZE, _FULL)
        await trial.until(lambda: bool(trial.all(Unanswered)), within=20)
        await trio.sleep(1 if bench.quick else 2)
        trial.note_end_of_fault("full")
        healed = trio.current_time()
        taken = len(trial.acknowledged)
        for process in (worker, producer):
            process.limit(resource.RLIMIT_FSIZE, None)
        await trial.until_acknowledged(taken + 1, within=20)
        resumed = trio.current_time() - healed
        await producer.ended.wait()
        history = await trial.history(within=30)
        return judge(history) + other_errors(history) + Result(samples={"resumed after": Samples.of([resumed])})


@experiment(
    promise="``enqueue`` raises `trioq.BackendUnavailable`, nothing is lost; work flows again within three seconds.",
    stores=("sqlite",),
    sample=2,
    goal=25,
    bars=(Bar("recovery", 0.99, 3),),
)
async def another_process_keeps_the_lock(bench: Bench) -> Result:
    """For seven seconds, longer than any call waits, another process has begun to write, and does not end."""
    async with steady_work(bench, 12) as trial:
        with closing(sqlite3.connect(trial.folder / "jobs.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # waits for a commit of the others, at most
            trial.note_fault("locked")
            await trio.sleep(7)
            other.execute("ROLLBACK")
            trial.note_end_of_fault("locked")
        history = await trial.history(within=60)
        refused = Result(counts={"refused": len(history.all(Unanswered))})
        return judge_with_recovery(history) + other_errors(history) + refused


@experiment(
    promise="The process that can't write gets `trioq.BackendError` at once; all others go on.",
    stores=("sqlite",),
    sample=1,
    goal=5,
)
async def the_file_is_read_only(bench: Bench) -> Result:
    """One process opens the file with ``mode=ro`` and enqueues, beside others that may write."""
    async with bench.trial() as trial:
        await trial.start_worker()
        await trial.produce(arguments=[[0.0]], count=5)
        wrong = ["it took the job"]
        try:
            async with trioq.Queue(NAME, backend=f"sqlite:file:{trial.folder}/jobs.db?mode=ro") as queue:
                await queue.enqueue("work", [0.0])
        except trioq.BackendError as error:
            wrong = [] if "read-only" in str(error) else [f"{error}"]
        await trial.produce(arguments=[[0.0]], count=5)
        return judge(await trial.history(within=20)) + Result.wrong(wrong) + Result(faults=1)


@experiment(
    promise="No call ever fails because another process holds the lock.",
    stores=("sqlite",),
    sample=3,
    goal=20,
    at_once=1,
)
async def four_processes_on_one_file(bench: Bench) -> Result:
    """Two producers enqueue as fast as they can, and two workers take the jobs as fast as they can."""
    async with bench.trial() as trial:
        for _ in range(2):
            await trial.start_worker(concurrency=20)
        count = 500 if bench.quick else 3_000
        for _ in range(2):
            await trial.start_producer(arguments=[[0.0]], count=count, hands=8)
        history = await trial.history(within=120)
        busy = [entry.error for entry in history.all(Unanswered)]
        return judge(history) + Result.wrong(busy + outages_told(history))
