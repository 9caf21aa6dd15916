"""Runs the trials of experiments, several at the same time: most of a trial is waiting for a lease to run out."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from .experiment import Bench, Experiment
from .processes import ForkServer
from .result import Result
from .stores import STORES
from .stores.disk import NotHere
from .stores.store import Store

#: Seconds that a trial may take.
_LONGEST: float = 300


async def run_trials(
    experiment: Experiment, kind: str, trials: int, fork_server: ForkServer, turn: trio.CapacityLimiter, *, quick: bool
) -> Result:
    """So many trials of an experiment on one kind of store, each in its *turn*.

    A trial that ends in an error is a violation.  Where the store can't be had there are no trials, and words about it.
    """
    results: list[Result] = []

    async def run(number: int, store: Store) -> None:
        try:
            with trio.fail_after(_LONGEST):
                results.append(await experiment.run(Bench(fork_server, store, number, quick)))
        except Exception as error:
            traceback.print_exc()
            results.append(Result(trials=1) + Result.wrong([f"the trial broke off: {error!r}"]))

    async def run_alone(number: int) -> None:
        async with turn:
            try:
                store = await _open(kind)
            except NotHere as error:
                results.append(Result(words=(str(error),)))
            else:
                async with _closing(store):
                    await run(number, store)

    async def run_with_others(number: int, store: Store) -> None:
        async with turn:
            await run(number, store)

    if experiment.alone:
        async with trio.open_nursery() as nursery:
            for number in range(trials):
                nursery.start_soon(run_alone, number)
    else:
        async with _closing(await _open(kind)) as store, trio.open_nursery() as nursery:
            for number in range(trials):
                nursery.start_soon(run_with_others, number, store)
    return sum(results, Result())


async def _open(kind: str) -> Store:
    """In a thread: others are measured while a server starts."""
    return await trio.to_thread.run_sync(STORES[kind])


@asynccontextmanager
async def _closing(store: Store) -> AsyncIterator[Store]:
    """And likewise while it ends."""
    try:
        yield store
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(store.close)
