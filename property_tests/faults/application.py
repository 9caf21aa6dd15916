"""The application of the worker processes: tasks that note when they begin and how they end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

import trioq
from trioq.abc import Backend

from .history import Began, Ended, Healed, Struck
from .journal import Journal

#: The queue of every trial.
NAME = "jobs"


def queue_on(backend: Backend, journal: Journal, **settings: Any) -> trioq.Queue:
    """The application's queue over a store.  Every task answers the number of its run."""
    queue = trioq.Queue(NAME, backend=backend, settings=trioq.Settings(**settings))

    @contextmanager
    def noted() -> Iterator[trioq.CurrentJob]:
        job = trioq.current_job()
        journal.note(Began, job.id, job.run)
        how = "raised"
        try:
            yield job
            how = "returned"
        except trio.Cancelled:
            how = "cancelled"
            raise
        finally:
            journal.note(Ended, job.id, job.run, how)

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
        """Answers what it was given."""
        with noted():
            return value

    return queue
