"""Renew: keeps this worker's leases, finds those that are lost, and notices when the event loop was blocked."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import inf
from operator import itemgetter
from typing import Final

import attrs
import trio

from .._core.batches import WANTED, batches
from .._core.errors import BackendError
from .._core.job import State
from .._core.lifecycle import Release, step
from ..backends._base import Lease, Loss, Renewed
from .active_job import ActiveJob, Reason
from .lost_jobs import report_lost_jobs
from .run import LAST_WRITES, WorkerRun
from .settle import store_steps

logger: Final = logging.getLogger("trioq.worker")

#: Jobs of lost claims in one read.
FEW: Final = 8


@trio.lowlevel.enable_ki_protection
async def renew(run: WorkerRun) -> None:
    """Renew every quarter of a lease, in one batch, and at once when a held job was cancelled.

    It runs from before the first claim until the last settle, so that every job is renewed for as long as it is held.
    """
    run.next_renewal = trio.current_time() + run.period
    # Unlimited: a renewal never waits until the findings of an earlier one are handled.
    send, receive = trio.open_memory_channel[_Findings](inf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_follow_up, receive, run)
        with send:
            await _keep_renewing(run, send)


async def _keep_renewing(run: WorkerRun, send: trio.MemorySendChannel[_Findings]) -> None:
    while True:
        with trio.move_on_at(run.next_renewal):
            await run.renew_now.wait()
        run.renew_now = trio.Event()
        begun = trio.current_time()
        try:
            await renew_once(run, send)
        except BackendError as error:
            logger.error("a renewal failed, the next one will do: %s", error)
            run.store.distrust()
        ended = trio.current_time()
        if ended - begun > run.limits.quarter:
            run.store.distrust()  # where our renewal took long, other workers' renewals may have
        run.next_renewal = max(begun + run.period, ended)


@trio.lowlevel.enable_ki_protection
async def notice_blocking(run: WorkerRun) -> None:
    """Notice when a handler blocks the event loop for a quarter of a lease: then our renewals come late."""
    quarter = run.limits.quarter
    while True:
        tick = run.period / 4
        due = trio.current_time() + tick
        await trio.sleep_until(due)
        late = trio.current_time() - due
        # The block may have begun at any moment of the tick: three quarters late is a quarter and more in all.
        if late >= quarter * 3 / 4:
            names = ", ".join(f"{held.job.task} ({held.job.id})" for held in run.held.values()) or "none"
            logger.warning("the event loop was blocked for about %.1f s; running jobs: %s", late, names)
            run.store.distrust()


@attrs.frozen
class _Findings:
    """What a renewal has found."""

    stopped: Sequence[tuple[ActiveJob, Loss]]
    reply: Renewed


async def renew_once(run: WorkerRun, send: trio.MemorySendChannel[_Findings]) -> None:
    """Renew once: stop the handlers of lost jobs at once, and send the findings to `_follow_up`."""
    reply = await run.store.ask(lambda: run.store.backend.renew(run.presence(), run.leases()), renews=True)
    run.renewed_at = trio.current_time()
    stopped = [(held, loss) for lease, loss in reply.lost.items() if (held := _stopped(lease, loss, run)) is not None]
    run.renewed.set()
    if stopped or (run.owns_name and reply.unlisted):
        send.send_nowait(_Findings(stopped, reply))


@trio.lowlevel.enable_ki_protection
async def _follow_up(receive: trio.MemoryReceiveChannel[_Findings], run: WorkerRun) -> None:
    """Report lost jobs, and release jobs that the store holds for us without our knowing, one renewal after another.

    In a task of its own: both ask the store, and that may take longer than the leases of the other jobs last.  It is
    shielded until renewing has ended: findings are reported even where the run ends meanwhile.
    """
    with trio.CancelScope(shield=True):
        async for findings in receive:
            with trio.move_on_after(LAST_WRITES):
                try:
                    await _tell(findings.stopped, run)
                    if run.owns_name and findings.reply.unlisted:
                        await _release_unlisted(findings.reply, run)
                except BackendError as error:
                    logger.error("what follows from a renewal failed, the next one will do: %s", error)


def _stopped(lease: Lease, loss: Loss, run: WorkerRun) -> ActiveJob | None:
    """Stop the job of a lost lease, and return it; None where its run has ended: then its settle finds the loss."""
    active = run.held.get((lease.queue, lease.id))
    if active is None or active.job.run != lease.run:
        return None
    reason = Reason.CANCELLED if loss is Loss.CANCELLED else Reason.LEASE_LOST
    return active if active.cancel(reason) else None


async def _tell(stopped: Sequence[tuple[ActiveJob, Loss]], run: WorkerRun) -> None:
    await report_lost_jobs(
        run,
        lost=[active.job for active, loss in stopped if loss is not Loss.CANCELLED],
        cancelled=[active.job for active, loss in stopped if loss is Loss.CANCELLED],
    )


async def _release_unlisted(reply: Renewed, run: WorkerRun) -> None:
    """Release jobs that the store holds for this worker without its knowing: their claim's reply was lost.

    A job that was claimed a moment ago may still be on its way here, so each is given half a lease.  That is longer
    than any reply takes, and short enough to spare the job a crash.  Where a reply takes as long all the same, this
    waits for the next renewal.  Else a job that comes, and ends while its record is read here, would be released twice.
    """
    if run.stood_still:
        return
    releases = []
    for queue, ids in _by_queue(key for key in reply.unlisted if key not in run.held):
        for job in (await run.store.backend.get(queue, ids)).jobs:
            if job is None or job.state is not State.ACTIVE or job.worker != run.identity:
                continue
            abandoned = (queue, job.id, job.run) in run.abandoned
            if not abandoned and (job.started_at or 0.0) <= reply.now - run.limits.lease / 2:
                releases.append((job, step(job, Release(), reply.now)))
    for job, _ in await store_steps(releases, run):
        logger.warning("job %s (%s) was released: its claim was never answered", job.id, job.task)


def _by_queue(unlisted: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """Yield a few ids of one queue at a time: their claim may have been lost because they are large."""
    for queue, keys in groupby(sorted(unlisted), key=itemgetter(0)):
        for few in batches((id for _, id in keys), len, most=FEW, most_bytes=WANTED):
            yield queue, few
