"""The application of the worker processes: tasks that note when they begin, how they end, and what they return."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

import trioq
from trioq._context import running_job
from trioq.abc import Backend
from trioq.testing.simulation.history import Began, Ended, Healed, Struck

from .journal import Journal

#: The queue of every trial.
NAME = "jobs"


def queue_on(backend: Backend, journal: Journal, **settings: Any) -> trioq.Queue:
    """The application's queue over a store.  Every task answers the number of its run."""
    queue = trioq.Queue(NAME, backend=backend, settings=trioq.Settings(**settings))

    begun: Counter[str] = Counter()

    @contextmanager
    def noted(*, returns_its_run: bool = True) -> Iterator[trioq.CurrentJob]:
        job, current = running_job.get().job, trioq.current_job()
        nth_run = begun[job.id]
        begun[job.id] += 1
        journal.note(Began, job, nth_run)
        how, returned = "raised", None
        try:
            yield current
            how, returned = "returned", job.run if returns_its_run else None
        except trio.Cancelled:
            how = "cancelled"
            raise
        finally:
            journal.note(Ended, job, nth_run, how, returned)

    @queue.task
    async def work(first: float, later: float | None = None) -> int:
        """Takes *first* seconds in its first run, and *later* ones in any other."""
        with noted() as job:
            await trio.sleep(first if later is None or job.run == 1 else later)
            return job.run

    @queue.task(backoff=trioq.Fixed(0.05))
    async def fail(times: int) -> int:
        """Raises in its first attempts."""
        with noted() as job:
            await trio.sleep(0.01)
            if job.attempt <= times:
                raise ValueError(f"attempt {job.attempt} of {times} that fail")
            return job.run

    @queue.task
    async def block(seconds: float) -> int:
        """Keeps the event loop to itself in its first run."""
        with noted() as job:
            if job.run == 1:
                journal.note(Struck, "blocked")
                time.sleep(seconds)
                journal.note(Healed, "blocked")
            return job.run

    @queue.task
    async def die(how: str) -> int:
        """Takes its whole process with it."""
        with noted() as job:
            journal.note(Struck, "killed")
            if how == "exit":
                os._exit(66)
            os.kill(os.getpid(), getattr(signal, how))
            return job.run

    @queue.task
    async def echo(value: Any) -> Any:
        """Answers what it was given, however large that is."""
        with noted(returns_its_run=False):
            return value

    return queue
