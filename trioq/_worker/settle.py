"""Settle: writes how runs ended, in batches, and tells of what was stored.  The last stage of a job's way."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from .._bus import event_emitter
from .._core.batches import portions
from .._core.errors import BackendError, BackendUnavailable
from .._core.job import Job
from .._core.lifecycle import Change, IllegalStep, Reject, Release, command_for, step
from .._core.outcome import Outcome, Returned, cut, error_text
from ..backends._base import Verdict
from .active_job import Running
from .lost_jobs import tell_losses
from .run import Ending, Shift

logger: Final = logging.getLogger("trioq.worker")

#: Outcomes in one write, at most.
BATCH: Final = 500

#: Bytes in one write, as far as they count: hundreds of large results at once would not come through within a store's
#: patience, nor when they are tried again.
BATCH_BYTES: Final = 4 * 2**20


@trio.lowlevel.enable_ki_protection
async def settle(receive: trio.MemoryReceiveChannel[list[Ending]], shift: Shift) -> None:
    """Write outcomes until the channel has closed; all that gather while one write is under way go into the next.

    Once the handlers have ended the store gets a few more seconds; what it did not take by then is logged by id, and
    left to its lease.
    """
    with receive, shift.last_writes:
        async for batch in receive:
            shift.begin_batch()
            for portion in portions(batch, _weight, most=BATCH, most_bytes=BATCH_BYTES):
                await settle_batch(portion, shift)
    if shift.held:
        ids = ", ".join(running.job.id for running in shift.held.values())
        logger.error("the store did not take these outcomes in time; their leases will run out: %s", ids)
        shift.forget(list(shift.held.values()))


def _weight(ending: Ending) -> int:
    outcome = ending[1]
    return len(outcome.result) if isinstance(outcome, Returned) else len(getattr(outcome, "error", ""))


async def settle_batch(batch: Sequence[Ending], shift: Shift) -> None:
    """Write these outcomes.  Somebody else has written already for a job that was cancelled or lost."""
    writes: list[tuple[Running, Change]] = []
    written: list[Running] = []
    now = shift.store.now()
    for running, outcome in batch:
        change = _change(running.job, outcome, now)
        if change is None:
            written.append(running)
        else:
            writes.append((running, change if running.progress is None else change.noting(progress=running.progress)))
    if written:
        shift.forget(written)
    if writes:
        await _write(writes, shift)
    unheard = [running.job for running in written if running.displaced]
    if unheard:
        await tell_losses(shift, lost=unheard)


def _change(job: Job, outcome: Outcome, now: float) -> Change | None:
    try:
        command = command_for(outcome, job, random.random())
        return None if command is None else step(job, command, now)
    except IllegalStep:  # of these commands only Expire asks for the time, and the store's clock has gone back
        return step(job, Release(), now)
    except Exception as error:  # one job's values must not end the stage that settles all
        logger.exception("job %s is rejected", job.id)
        return step(job, Reject(error_text(error)), now)


async def _write(writes: Sequence[tuple[Running, Change]], shift: Shift) -> None:
    """One write for all; where the store refuses it, one for each, so that a bad item fails alone."""
    store = shift.store
    try:
        reply = await store.ask(lambda: store.backend.settle([change for _, change in writes]))
    except BackendError as error:
        if len(writes) > 1:
            for write in writes:
                await _write([write], shift)
        else:
            await _refused(writes[0], error, shift)
        return
    await _tell(writes, reply.verdicts, shift)


async def _refused(write: tuple[Running, Change], error: BackendError, shift: Shift) -> None:
    """The store refuses this item alone: its job becomes a dead letter, with a short and plain error."""
    running, change = write
    logger.error("the store refused to settle job %s: %s", running.job.id, error)
    why = f"{type(error).__name__}: {error}"
    plain = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in cut(why, 500))
    rejection = step(running.job, Reject(f"the store refused the outcome: {plain}"), shift.store.now())
    if dict(change.fields).get("error") == rejection.fields["error"]:
        shift.abandon(running)
        return
    try:
        reply = await shift.store.ask(partial(shift.store.backend.settle, [rejection]))
    except BackendError as again:
        logger.error("and to reject it; job %s is left to its lease: %s", running.job.id, again)
        shift.abandon(running)
    else:
        await _tell([(running, rejection)], reply.verdicts, shift)


async def _tell(writes: Sequence[tuple[Running, Change]], verdicts: Sequence[Verdict], shift: Shift) -> None:
    now = shift.store.now()
    late: list[Running] = []
    for (running, change), verdict in zip(writes, verdicts, strict=True):
        if verdict is Verdict.STORED:
            name = change.event.name
            shift.counts[name] += 1
            if event_emitter.wants(name):
                event_emitter.emit(change.event.of(running.job.after(change), now))
        elif not running.lost:
            late.append(running)
    shift.forget([running for running, _ in writes])
    if late:
        await tell_losses(shift, lost=[running.job for running in late])


async def store_steps(steps: Sequence[tuple[Job, Change]], shift: Shift) -> list[tuple[Job, Change]]:
    """Write steps of jobs that this worker does not run, tell of those that were stored, and answer them."""
    if not steps:
        return []
    try:
        reply = await shift.store.backend.settle([change for _, change in steps])
    except BackendUnavailable:
        raise
    except BackendError as error:
        if len(steps) > 1:  # a bad item fails alone
            return [stored for each in steps for stored in await store_steps([each], shift)]
        logger.error("the store refused to settle job %s: %s", steps[0][0].id, error)
        return []
    stored = [each for each, verdict in zip(steps, reply.verdicts, strict=True) if verdict is Verdict.STORED]
    for job, change in stored:
        shift.counts[change.event.name] += 1
        event_emitter.tell(change.event, job.after(change), reply.now)
    return stored
