"""The original's functions: the pipeline for one queue, and one job's way through admit, run and settle."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import trio

from .._core import wire
from .._core.job import Job, State
from .._core.lifecycle import IllegalStep, Release
from .._limits import RateLimiter
from .._queue import Queue, find_queue
from ..backends import Backend
from .handler import handle
from .pipeline import shielded
from .renew import renew
from .settle import settle
from .shift import Limits, Shift
from .worker import Worker


async def process_job(
    queue_name: str,
    limiter: trio.CapacityLimiter,
    rate_limiter: RateLimiter | None = None,
    backend: Backend | None = None,
) -> None:
    """Run the jobs of one queue, within the caller's *limiter*, until cancelled.

    *queue_name* is that of a living `Queue`, which has the tasks; *backend* is the store, if not the queue's own.
    """
    queue = _queue_on(queue_name, backend)
    await Worker(queue, concurrency=limiter, rate_limit=rate_limiter, handle_signals=False).start()


async def _run_with_limits(
    queue_name: str,
    raw_job: Job | bytes | Mapping[str, Any],
    limiter: trio.CapacityLimiter,
    rate_limiter: RateLimiter | None = None,
    backend: Backend | None = None,
) -> None:
    """Wait for a slot and a rate token, then `handle_job`."""
    async with limiter:
        if rate_limiter is not None:
            await rate_limiter.acquire()
        await handle_job(queue_name, raw_job, backend)


async def handle_job(queue_name: str, raw_job: Job | bytes | Mapping[str, Any], backend: Backend | None = None) -> None:
    """Take one claimed job, a Job or its wire form, through admit, run and settle; its lease is renewed meanwhile.

    Cancelled, it stops the handler, releases the job, and raises.  IllegalStep for a job that isn't claimed.
    """
    queue = _queue_on(queue_name, backend)
    job = raw_job if isinstance(raw_job, Job) else wire.decode(raw_job)
    if job.state is not State.ACTIVE or job.worker is None or job.lease_until is None:
        raise IllegalStep(job, Release())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(queue)
        shift = _shift_for(job, job.worker, queue)
        await stack.enter_async_context(shift.sandbox)
        shift.store.hear((await queue.backend.get(queue.name, [job.id])).now)
        await shielded(shift, lambda: _through(job, shift))
    if shift.interrupt is not None:
        raise shift.interrupt


async def _through(job: Job, shift: Shift) -> None:
    async with trio.open_nursery() as keepers:
        keepers.start_soon(renew, shift)
        slot = object()
        await shift.slots.acquire_on_behalf_of(slot)
        with shift.drain:
            await handle(shift.hold(job, slot), shift)
        shift.begin_last_writes()
        shift.close_outcomes()
        await settle(shift.outcomes, shift)
        keepers.cancel_scope.cancel()


def _shift_for(job: Job, worker: str, queue: Queue) -> Shift:
    settings = queue.settings
    return Shift(
        queues={queue.name: queue},
        backend=queue.backend,
        slots=trio.CapacityLimiter(1),
        rate=None,
        limits=Limits(lease=settings.lease, grace=settings.grace, settings=settings),
        identity=worker,
        name=worker,
        owns_name=False,  # the claimer may hold other jobs under the same identity
    )


def _queue_on(name: str, backend: Backend | None) -> Queue:
    queue = find_queue(name, backend)
    return queue if backend is None or queue.backend is backend else queue.on(backend)
