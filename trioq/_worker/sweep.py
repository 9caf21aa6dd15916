"""Sweep: reclaims jobs of dead workers, and expires jobs that no worker claims."""

from __future__ import annotations

import logging
from math import inf
from typing import Final

import trio

from .._core.batches import NextBatch
from .._core.errors import BackendError
from .._core.job import Job, State
from .._core.lifecycle import Change, Expire, IllegalStep, Reclaim, step
from .run import WorkerRun
from .settle import store_steps

logger: Final = logging.getLogger("trioq.worker")

#: Overdue jobs in the first read of a worker, and in any read.
FIRST: Final = 32
MOST: Final = 500


@trio.lowlevel.enable_ki_protection
async def sweep(run: WorkerRun) -> None:
    """Sweep every quarter of a lease, after a renewal of our own has succeeded; every worker does.

    Also as soon as the doubt in our own view ends: jobs of a dead worker may have waited for that.
    """
    next_sweep, batch = trio.current_time(), NextBatch(FIRST, most=MOST)
    while True:
        trusted = run.store.trusted_from
        with trio.move_on_at(trusted if trusted > trio.current_time() else inf) as waiting:
            await run.renewed.wait()
        now = trio.current_time()
        if now < next_sweep and not waiting.cancelled_caught:
            continue  # a hint made it renew between two quarters
        next_sweep = now + run.limits.quarter * 0.9
        try:
            await _sweep_overdue(run, batch)
        except BackendError as error:
            batch.note_failure(batch.count)
            logger.debug("a sweep failed, the next one will do: %s", error)


async def _sweep_overdue(run: WorkerRun, batch: NextBatch) -> None:
    asked = batch.count
    while True:
        asked_at = trio.current_time()
        found = await run.store.backend.overdue(asked)
        batch.note_answer(len(found.jobs), sum(len(job.payload) for job in found.jobs))
        run.store.note_time(found.now, asked_at)
        if trio.current_time() - max(asked_at, run.renewed_at) > run.limits.quarter:
            run.store.distrust()  # this process stood still, as other workers may have, whose leases ran out meanwhile
        changes = [(job, change) for job in found.jobs if (change := _verdict(job, found.now, run)) is not None]
        stored = await store_steps(changes, run)
        for job, change in stored:
            _log(job, change)
        if len(found.jobs) < asked or (not stored and asked == MOST):
            return
        # Where none could be stored, more are read: locked rows hold up no job behind them.
        asked = batch.count if stored else min(MOST, 2 * asked)


def _log(job: Job, change: Change) -> None:
    if change.state is State.EXPIRED:
        logger.warning("job %s (%s) expired: no worker started it within its TTL", job.id, job.task)
    else:
        logger.warning(
            "job %s (%s) is %s: its worker %s died or lost contact (crash %d of %d)",
            job.id,
            job.task,
            change.state,
            job.worker,
            change.fields["crashes"],
            job.max_crashes,
        )


def _verdict(job: Job, now: float, run: WorkerRun) -> Change | None:
    """The change for an overdue job.  No worker is taken for dead while our own view of the store is in doubt."""
    if job.state is State.ACTIVE:
        active = run.held.get((job.queue, job.id))
        ours = active is not None and active.job.run == job.run
        if ours or trio.current_time() < run.store.trusted_from:
            return None
    try:
        return step(job, Reclaim() if job.state is State.ACTIVE else Expire(), now)
    except IllegalStep:
        return None
