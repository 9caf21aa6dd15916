"""The application of the worker processes: its tasks write what happens to them into the test's journal.

Its store is the one in TRIOQ_BACKEND, the journal a named pipe in JOURNAL.
"""

from __future__ import annotations

import os
import time

import trio

import trioq

queue = trioq.Queue("jobs")

_journal = os.open(os.environ["JOURNAL"], os.O_WRONLY)


def note(*words: object) -> None:
    """Write a line; one write, so that the lines of several processes don't mix."""
    os.write(_journal, f"{os.getpid()} {' '.join(map(str, words))}\n".encode())


@queue.task
async def count(number: int) -> None:
    """A job that is noted when it runs."""
    note("count", number)


@queue.task
async def hold(seconds: float) -> str:
    """A job that is long in its first run, and at once done in every other."""
    run = trioq.current_job().run
    note("hold", run)
    if run > 1:
        return f"run {run}"
    try:
        await trio.sleep(seconds)
    except trio.Cancelled:
        note("cancelled", run)
        raise
    return "held"


@queue.task
async def age(sent: float) -> float:
    """How long this job took from before its enqueue to here."""
    return time.time() - sent


@queue.task
async def die() -> None:
    """A job that takes its whole process with it."""
    note("die")
    os._exit(66)


@queue.task
async def rest(seconds: float) -> None:
    """A job that runs beside others."""
    await trio.sleep(seconds)
