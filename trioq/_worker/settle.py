"""Settle: writes how runs ended, in batches, and emits events of what was stored.  The last stage."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Final

import trio

from .._bus import event_emitter
from .._core.batches import batches
from .._core.errors import BackendError, BackendUnavailable
from .._core.job import Job
from .._core.lifecycle import Change, IllegalStep, Reject, Release, command_for, step
from .._core.outcome import Outcome, Returned, cut, error_text
from ..backends._base import Settled, Verdict
from .active_job import ActiveJob
from .lost_jobs import report_lost_jobs
from .run import Ending, WorkerRun

logger: Final = logging.getLogger("trioq.worker")

#: Outcomes in one write, at most.
BATCH: Final = 500

#: Bytes of results and errors in one write, at most: hundreds of large results at once would exceed the store's
#: deadline, at every try.
BATCH_BYTES: Final = 4 * 2**20


@trio.lowlevel.enable_ki_protection
async def settle(receive: trio.MemoryReceiveChannel[list[Ending]], run: WorkerRun) -> None:
    """Write outcomes until the channel has closed; all that gather while one write is under way go into the next.

    Once the handlers have ended the store gets a few more seconds.  Jobs whose outcomes it did not take by then are
    logged by id, and left to their leases.
    """
    with receive, run.last_writes:
        async with trio.open_nursery() as insisting:
            async for batch in receive:
                run.begin_batch()
                for part in batches(batch, _weight, most=BATCH, most_bytes=BATCH_BYTES):
                    await _settle_batch(part, run, insisting)
    if run.held:
        ids = ", ".join(active.job.id for active in run.held.values())
        logger.error("the store did not take these outcomes in time; their leases will run out: %s", ids)
        run.forget(list(run.held.values()))


def _weight(ending: Ending) -> int:
    outcome = ending[1]
    return len(outcome.result) if isinstance(outcome, Returned) else len(getattr(outcome, "error", ""))


async def _settle_batch(batch: Sequence[Ending], run: WorkerRun, insisting: trio.Nursery) -> None:
    """Write these outcomes.  For a job that was cancelled or lost, a caller or another worker has written already."""
    writes: list[tuple[ActiveJob, Change]] = []
    written: list[ActiveJob] = []
    now = run.store.now()
    for active, outcome in batch:
        change = _change(active.job, outcome, now)
        if change is None:
            written.append(active)
        else:
            writes.append((active, change if active.progress is None else change.noting(progress=active.progress)))
    if written:
        run.forget(written)
    if writes:
        await _write(writes, run, insisting)
    unreported = [active.job for active in written if active.displaced]
    if unreported:
        await report_lost_jobs(run, lost=unreported)


def _change(job: Job, outcome: Outcome, now: float) -> Change | None:
    try:
        command = command_for(outcome, job, random.random())
        return None if command is None else step(job, command, now)
    except IllegalStep:  # of these commands only Expire depends on the time: the store's clock has gone back
        return step(job, Release(), now)
    except Exception as error:  # one job's values must not end the stage that settles all
        logger.exception("job %s is rejected", job.id)
        return step(job, Reject(error_text(error)), now)


async def _write(writes: Sequence[tuple[ActiveJob, Change]], run: WorkerRun, insisting: trio.Nursery) -> None:
    """One write for all; where the store refuses, one for each, so that a bad item fails alone and holds up none."""
    try:
        reply = await _settle([change for _, change in writes], run)
    except BackendError as error:
        if len(writes) > 1:
            for write in writes:
                await _write([write], run, insisting)
        elif isinstance(error, BackendUnavailable):
            insisting.start_soon(_insist, writes[0], run)
        else:
            await _refused(writes[0], error, run)
    else:
        await _tell(writes, reply.verdicts, run)


async def _settle(changes: Sequence[Change], run: WorkerRun) -> Settled:
    """Write these changes once the store can be reached.  BackendError where it refuses."""
    return await run.store.ask(lambda: run.store.backend.settle(changes), refusals=True)


@trio.lowlevel.enable_ki_protection
async def _insist(write: tuple[ActiveJob, Change], run: WorkerRun) -> None:
    """Write for a job that the store refuses, but not for its data, again and again for a lease; then give it up."""
    id, tries = write[0].job.id, 0
    deadline = trio.current_time() + run.limits.lease
    while True:
        tries += 1
        await run.store.pause(tries)
        try:
            reply = await _settle([write[1]], run)
        except BackendUnavailable as error:
            if trio.current_time() >= deadline:
                logger.error("the store refuses to settle job %s, which is left to its lease: %s", id, error)
                run.abandon(write[0])
                return
        except BackendError as error:
            await _refused(write, error, run)
            return
        else:
            await _tell([write], reply.verdicts, run)
            return


async def _refused(write: tuple[ActiveJob, Change], error: BackendError, run: WorkerRun) -> None:
    """Reject a job whose outcome the store refuses: it becomes a dead letter, with a short and plain error."""
    active, change = write
    logger.error("the store refused to settle job %s: %s", active.job.id, error)
    why = f"{type(error).__name__}: {error}"
    plain = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in cut(why, 500))
    rejection = step(active.job, Reject(f"the store refused the outcome: {plain}"), run.store.now())
    if dict(change.fields).get("error") == rejection.fields["error"]:
        run.abandon(active)
        return
    try:
        reply = await _settle([rejection], run)
    except BackendError as again:
        logger.error("and to reject it; job %s is left to its lease: %s", active.job.id, again)
        run.abandon(active)
    else:
        await _tell([(active, rejection)], reply.verdicts, run)


async def _tell(writes: Sequence[tuple[ActiveJob, Change]], verdicts: Sequence[Verdict], run: WorkerRun) -> None:
    now = run.store.now()
    late: list[ActiveJob] = []
    for (active, change), verdict in zip(writes, verdicts, strict=True):
        if verdict is Verdict.STORED:
            name = change.event.name
            run.counts[name] += 1
            if event_emitter.wants(name):
                event_emitter.emit(change.event.of(active.job.after(change), now))
        elif not active.lost:
            late.append(active)
    run.forget([active for active, _ in writes])
    if late:
        await report_lost_jobs(run, lost=[active.job for active in late])


async def store_steps(steps: Sequence[tuple[Job, Change]], run: WorkerRun) -> list[tuple[Job, Change]]:
    """Write steps of jobs that this worker does not run; emit the events of those that were stored, and return them."""
    if not steps:
        return []
    try:
        reply = await run.store.backend.settle([change for _, change in steps])
    except BackendError as error:
        if isinstance(error, BackendUnavailable) and not error.refused:
            raise
        if len(steps) > 1:  # a bad item fails alone
            return [stored for each in steps for stored in await store_steps([each], run)]
        logger.error("the store refused to settle job %s: %s", steps[0][0].id, error)
        return []
    stored = [each for each, verdict in zip(steps, reply.verdicts, strict=True) if verdict is Verdict.STORED]
    for job, change in stored:
        run.counts[change.event.name] += 1
        event_emitter.tell(change.event, job.after(change), reply.now)
    return stored
