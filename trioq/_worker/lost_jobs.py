"""Reports runs that another worker or a caller has ended, with the state that won.  Renew and settle find them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from .._bus import event_emitter
from .._core.errors import BackendError
from .._core.events import JobCancelled, JobLost
from .._core.job import Job, State
from .run import WorkerRun

logger: Final = logging.getLogger("trioq.worker")

#: The stored records of lost jobs, by queue and id; None for a job that is gone.
Winners = dict[tuple[str, str], Job | None]


async def report_lost_jobs(run: WorkerRun, *, lost: Sequence[Job] = (), cancelled: Sequence[Job] = ()) -> None:
    """Report that this worker has lost the jobs *lost*, with the state that won, and that callers cancelled the others.

    When it is cancelled itself, it still reports them: that a job is lost is known, only the state that won is not.
    """
    winners: Winners = {}
    try:
        await _find([*lost, *cancelled], winners, run)
    finally:
        for job in lost:
            _say_lost(job, winners, run)
        for job in cancelled:
            _say_cancelled(job, winners, run)


async def _find(jobs: Sequence[Job], winners: Winners, run: WorkerRun) -> None:
    """Read these jobs from the store, and add each reply to *winners* as it comes."""
    try:
        for queue, lost in groupby(sorted(jobs, key=attrgetter("queue")), attrgetter("queue")):
            ids = [job.id for job in lost]
            found = await run.store.backend.get(queue, ids)
            winners.update({(queue, id): job for id, job in zip(ids, found.jobs, strict=True)})
    except BackendError as error:
        logger.debug("who won is not known: %s", error)


def _say_lost(job: Job, winners: Winners, run: WorkerRun) -> None:
    run.counts[JobLost.name] += 1
    winner = winners.get((job.queue, job.id))
    state = "unknown" if (job.queue, job.id) not in winners else "gone" if winner is None else str(winner.state)
    logger.warning("job %s (%s), run %d, is lost to this worker; it is now: %s", job.id, job.task, job.run, state)
    if event_emitter.wants(JobLost.name):
        event_emitter.emit(
            JobLost(
                queue=job.queue,
                at=run.store.now(),
                job=job,
                worker=run.identity,
                run=job.run,
                attempt=job.attempt,
                state=state,
            )
        )


def _say_cancelled(job: Job, winners: Winners, run: WorkerRun) -> None:
    now = run.store.now()
    as_known = job.having({"state": State.CANCELLED, "finished_at": now, "lease_until": None})
    event_emitter.tell(JobCancelled, winners.get((job.queue, job.id)) or as_known, now)
