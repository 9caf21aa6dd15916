"""The wiring, and the order of shutdown.  Each stage's work is in the file of its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf

import trio

from .active_job import ActiveJob
from .dequeue import Dequeue
from .handler import handle_all
from .limiter import limit
from .prune import prune
from .renew import notice_blocking, renew
from .run import WorkerRun
from .settle import settle
from .sweep import sweep
from .watch import watch


@trio.lowlevel.enable_ki_protection
async def run_pipeline(run: WorkerRun, dequeue: Dequeue, started: Callable[[], None]) -> None:
    """Run jobs until the run drains, or *dequeue* finds itself idle; return when everything claimed is settled.

    Shutdown travels the way the jobs do: dequeue, sweep and prune end first, then limiter, handlers and settle as their
    channels close.  Renew and watch are stopped last, so that every job is renewed from its claim to its settle.
    """
    # Unlimited: dequeue never waits here before it claims again.  Jobs in here have slots, which bound their number.
    to_limiter, claimed = trio.open_memory_channel[list[ActiveJob]](inf)
    # Without a buffer: the limiter has a batch, or the handlers have it.
    to_handlers, admitted = trio.open_memory_channel[list[ActiveJob]](0)
    failure: BaseException | None = None
    async with trio.open_nursery() as keepers:
        await keepers.start(watch, run)
        keepers.start_soon(renew, run)
        keepers.start_soon(notice_blocking, run)
        async with trio.open_nursery() as last:
            last.start_soon(settle, run.outcomes, run)
            try:
                async with trio.open_nursery() as stages:
                    stages.start_soon(_claim_and_sweep, dequeue, to_limiter, run)
                    stages.start_soon(limit, claimed, to_handlers, run)
                    stages.start_soon(handle_all, admitted, run)
                    started()
            except BaseException as error:  # noqa: ASYNC103  raised below: first, all outcomes are settled
                failure = error
            run.begin_last_writes()
            run.close_outcomes()
        keepers.cancel_scope.cancel()
    if failure is not None:
        raise failure


@trio.lowlevel.enable_ki_protection
async def _claim_and_sweep(dequeue: Dequeue, send: trio.MemorySendChannel[list[ActiveJob]], run: WorkerRun) -> None:
    with run.claiming:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sweep, run)
            nursery.start_soon(prune, run)
            await dequeue.run(send)
            nursery.cancel_scope.cancel()


async def shielded(run: WorkerRun, body: Callable[[], Awaitable[None]]) -> None:
    """Run *body*, shielded: a cancellation or a Ctrl-C of the caller becomes ``stop(grace=0)``.

    So claimed jobs are released and finished ones are settled, within the deadlines of a drain; then the cancellation
    is raised.
    """
    ended = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_out_of_reach, body, ended)
        try:
            await ended.wait()
        except BaseException:
            run.stop(0)
            raise


@trio.lowlevel.enable_ki_protection
async def _out_of_reach(body: Callable[[], Awaitable[None]], ended: trio.Event) -> None:
    with trio.CancelScope(shield=True):
        await body()
    ended.set()
