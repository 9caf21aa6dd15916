"""AsyncMQ's functions: the pipeline for one queue, and one job's way through admit, run and settle."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import trio

from .._core import wire
from .._core.job import Job, State
from .._core.lifecycle import IllegalStep, Release
from .._core.outcome import CancelledByUser, Interrupted, LeaseLost
from .._queue import Queue, find_queue
from .._rate_limiter import RateLimiter
from ..backends import Backend
from .active_job import ActiveJob, Reason
from .handler import handle
from .limiter import admitted_or_ended
from .lost_jobs import report_lost_jobs
from .pipeline import shielded
from .renew import renew
from .run import Limits, WorkerRun
from .settle import settle
from .worker import Worker


async def process_job(
    queue_name: str,
    limiter: trio.CapacityLimiter,
    rate_limiter: RateLimiter | None = None,
    backend: Backend | None = None,
) -> None:
    """Run the jobs of one queue, within the caller's *limiter*, until cancelled.

    *queue_name* names a living `Queue`, which has the tasks; *backend* is the store, if not the queue's own.
    """
    queue = _queue_on(queue_name, backend)
    worker = Worker(queue, concurrency=limiter, rate_limit=rate_limiter, handle_signals=False, settings=queue.settings)
    await worker.start()


async def _run_with_limits(
    queue_name: str,
    raw_job: Job | bytes | Mapping[str, Any],
    limiter: trio.CapacityLimiter,
    rate_limiter: RateLimiter | None = None,
    backend: Backend | None = None,
) -> None:
    """Wait for a slot and a rate token, then do as `handle_job`.  The token of a job that may not start comes back."""
    queue, job = _claimed(queue_name, raw_job, backend)
    async with queue:
        await _handle(job, queue, limiter, rate_limiter)


async def handle_job(queue_name: str, raw_job: Job | bytes | Mapping[str, Any], backend: Backend | None = None) -> None:
    """Take one claimed job, a Job or its wire form, through admit, run and settle; its lease is renewed meanwhile.

    Cancelled, it stops the handler, releases the job, and raises.  IllegalStep for a job that isn't claimed.
    """
    queue, job = _claimed(queue_name, raw_job, backend)
    async with queue:
        await _handle(job, queue, trio.CapacityLimiter(1), None)


def _claimed(queue_name: str, raw_job: Job | bytes | Mapping[str, Any], backend: Backend | None) -> tuple[Queue, Job]:
    queue = _queue_on(queue_name, backend)
    job = raw_job if isinstance(raw_job, Job) else wire.decode(raw_job)
    if job.queue != queue.name:
        raise ValueError(f"job {job.id} belongs to queue {job.queue!r}, not to {queue.name!r}")
    if job.state is not State.ACTIVE or job.worker is None or job.lease_until is None:
        raise IllegalStep(job, Release())
    return queue, job


async def _handle(job: Job, queue: Queue, slots: trio.CapacityLimiter, rate: RateLimiter | None) -> None:
    """Take one job through all stages; its lease is renewed while it waits for its slot and token, too."""
    run = _run_for(str(job.worker), queue, slots, rate)
    active = run.hold(job, None, start_by=inf)  # `_run` asks the store whether it still is ours
    await shielded(run, lambda: _through(active, run))
    if run.interrupt is not None:
        raise run.interrupt


@trio.lowlevel.enable_ki_protection
async def _through(active: ActiveJob, run: WorkerRun) -> None:
    async with run.sandbox, trio.open_nursery() as keepers:
        keepers.start_soon(renew, run)
        # A task of its own, so that the handler does not run in the caller's context.
        async with trio.open_nursery() as handlers:  # noqa: ASYNC112
            handlers.start_soon(_run, active, run)
        run.begin_last_writes()
        run.close_outcomes()
        await settle(run.outcomes, run)
        keepers.cancel_scope.cancel()


@trio.lowlevel.enable_ki_protection
async def _run(active: ActiveJob, run: WorkerRun) -> None:
    """Run the handler, if the store says that this claim still holds."""
    job, store = active.job, run.store
    with run.drain:
        await _take_slot(active, run)
        [stored] = (await store.ask(lambda: store.backend.get(job.queue, [job.id]))).jobs
        if stored is not None and stored.run == job.run and stored.state is State.CANCELLED:
            run.end(active, CancelledByUser())
        elif stored is None or (stored.run, stored.state) != (job.run, State.ACTIVE):
            newly_lost = active.cancel(Reason.LEASE_LOST)
            run.end(active, LeaseLost())
            if newly_lost:
                await report_lost_jobs(run, lost=[job])
        elif admitted_or_ended(active, store.now(), run):
            await handle(active, run)
    run.end(active, Interrupted())  # a run that has not ended yet was stopped by a shutdown


async def _take_slot(active: ActiveJob, run: WorkerRun) -> None:
    slot = object()
    await run.slots.acquire_on_behalf_of(slot)
    try:
        if run.rate is not None:
            await run.rate.take_in_turn()
    except BaseException:
        run.slots.release_on_behalf_of(slot)
        raise
    active.slot = slot  # slot and token: from here on, both are given back together


def _run_for(worker: str, queue: Queue, slots: trio.CapacityLimiter, rate: RateLimiter | None) -> WorkerRun:
    settings = queue.settings
    return WorkerRun(
        queues={queue.name: queue},
        backend=queue.backend,
        slots=slots,
        rate=rate,
        limits=Limits(lease=settings.lease, grace=settings.grace, settings=settings),
        identity=worker,
        name=worker,
        owns_name=False,  # the worker that claimed it may hold other jobs under this identity
    )


def _queue_on(name: str, backend: Backend | None) -> Queue:
    queue = find_queue(name, backend)
    return queue if backend is None or queue.backend is backend else queue.copy_on(backend)
