"""Renew: keeps this worker's leases, hears which are lost, and notices when the event loop was blocked."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

import trio

from .._bus import event_emitter
from .._core.errors import BackendError
from .._core.events import JobCancelled
from .._core.job import Job, State
from .._core.lifecycle import Release, step
from ..backends._base import Lease, Loss, Renewed
from .running import Reason, Running
from .settle import find_winner, store_steps, tell_lost
from .shift import Shift

logger: Final = logging.getLogger("trioq.worker")


@trio.lowlevel.enable_ki_protection
async def renew(shift: Shift) -> None:
    """Renew every quarter of a lease, in one batch, and at once when a held job was cancelled.

    It runs from before the first claim until the last settle, so that every job is renewed for as long as it is held.
    """
    shift.next_renewal = trio.current_time() + shift.period
    while True:
        with trio.move_on_at(shift.next_renewal):
            await shift.renew_now.wait()
        shift.renew_now = trio.Event()
        begun = trio.current_time()
        try:
            await renew_once(shift)
        except BackendError as error:
            logger.error("a renewal failed, the next one will do: %s", error)
            shift.store.distrust()
        ended = trio.current_time()
        if ended - begun > shift.limits.quarter:
            shift.store.distrust()  # where our renewal took long, others' may have
        shift.next_renewal = max(begun + shift.period, ended)


@trio.lowlevel.enable_ki_protection
async def notice_blocking(shift: Shift) -> None:
    """Notice when a handler keeps the event loop to itself for a quarter of a lease: then our renewals come late."""
    quarter = shift.limits.quarter
    while True:
        tick = shift.period / 4
        due = trio.current_time() + tick
        await trio.sleep_until(due)
        late = trio.current_time() - due
        # The block may have begun at any moment of the tick: three quarters late is a quarter and more in all.
        if late >= quarter * 3 / 4:
            names = ", ".join(f"{held.job.task} ({held.job.id})" for held in shift.held.values()) or "none"
            logger.warning("the event loop was blocked for about %.1f s; running jobs: %s", late, names)
            shift.store.distrust()


async def renew_once(shift: Shift) -> None:
    """One renewal, and what follows from its reply."""
    reply = await shift.store.ask(lambda: shift.store.backend.renew(shift.presence(), shift.leases()))
    stopped = [(held, loss) for lease, loss in reply.lost.items() if (held := _stopped(lease, loss, shift)) is not None]
    shift.renewed.set()
    for running, loss in stopped:
        await _tell(running.job, loss, shift)
    if shift.owns_name and reply.unlisted:
        await _release_unlisted(reply, shift)


def _stopped(lease: Lease, loss: Loss, shift: Shift) -> Running | None:
    """The job of a lost lease, stopped; None where its run has ended: then its settle will find out."""
    running = shift.held.get((lease.queue, lease.id))
    if running is None or running.job.run != lease.run:
        return None
    reason = Reason.CANCELLED if loss is Loss.CANCELLED else Reason.LEASE_LOST
    return running if running.cancel(reason) else None


async def _tell(job: Job, loss: Loss, shift: Shift) -> None:
    if loss is not Loss.CANCELLED:
        await tell_lost(job, shift)
    elif event_emitter.wants(JobCancelled.name):
        cancelled, _ = await find_winner(job, shift)
        event_emitter.tell(JobCancelled, cancelled, shift.store.now())


async def _release_unlisted(reply: Renewed, shift: Shift) -> None:
    """Release jobs that the store holds for this worker without its knowing: their claim's reply was lost.

    One that was claimed a moment ago may still be on its way here, so they are given half a lease: longer than any
    reply takes, and short enough to spare the job a crash.
    """
    releases = []
    for queue, ids in _by_queue(reply.unlisted).items():
        for job in (await shift.store.backend.get(queue, ids)).jobs:
            if job is None or job.state is not State.ACTIVE or job.worker != shift.identity:
                continue
            known = (queue, job.id) in shift.held or (queue, job.id, job.run) in shift.abandoned
            if not known and (job.started_at or 0.0) <= reply.now - shift.limits.lease / 2:
                releases.append((job, step(job, Release(), reply.now)))
    for job, _ in await store_steps(releases, shift):
        logger.warning("job %s (%s) was released: its claim was never answered", job.id, job.task)


def _by_queue(unlisted: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    queues: dict[str, list[str]] = {}
    for queue, id in unlisted:
        queues.setdefault(queue, []).append(id)
    return queues
