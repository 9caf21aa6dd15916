"""Handler: one task and one cancel scope per job, and whatever happens in them becomes an `Outcome`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, Final, assert_never

import trio

from .._bus import event_emitter
from .._context import running_job
from .._core.events import JobStarted
from .._core.job import Job
from .._core.outcome import (
    BadPayload,
    CancelledByUser,
    Interrupted,
    LeaseLost,
    Outcome,
    Raised,
    Rejected,
    RetryAsked,
    Returned,
    TimedOut,
    UnknownTask,
    outcome_of,
)
from .._task import Task
from ..sandbox import Target
from .active_job import ActiveJob, Reason
from .limiter import admitted_or_ended
from .run import WorkerRun
from .threads import ThreadAbandoned, run_in_thread

logger: Final = logging.getLogger("trioq.worker")

#: The outcomes that spend an attempt: each is logged, with its traceback where there is one.
_FAILURES: Final = (Raised, TimedOut, UnknownTask, RetryAsked, Rejected, BadPayload)


@trio.lowlevel.enable_ki_protection
async def handle_all(receive: trio.MemoryReceiveChannel[list[ActiveJob]], run: WorkerRun) -> None:
    """Start a task for each job; end when the channel has closed and every handler has ended."""
    with receive, run.drain:
        async with trio.open_nursery() as nursery:
            # The end of the grace cancels handlers only: the limiter's sends must be received until the channel closes.
            with trio.CancelScope(shield=True):
                async for batch in receive:
                    if nursery.cancel_scope.cancel_called:
                        # A task ended in an error that nothing here could catch, and `start` will raise it.  Jobs
                        # that come now are released, not started in the cancelled nursery.
                        run.stop(0)
                    for active in batch:
                        nursery.start_soon(handle, active, run, name=active.job.task)


@trio.lowlevel.enable_ki_protection
async def handle(active: ActiveJob, run: WorkerRun) -> None:
    """Run one job's handler, and hand over its outcome.  It swallows every cancellation: its task ends with it."""
    if active.why is not None:  # cancelled or lost on its way here
        run.end(active, _outcome(None, active, run))
        return
    # Checked again, for the way here may have taken a while; only a drain, its lease or a TTL can change the answer.
    now = run.store.now()
    doubtful = run.draining or now >= active.start_by or active.job.expires_at is not None
    if doubtful and not admitted_or_ended(active, now, run):
        return
    if run.rate is not None:
        run.rate.spend()
    active.spent = True
    running_job.set(active)
    if event_emitter.wants(JobStarted.name):
        event_emitter.emit(JobStarted.of(active.job, run.store.now()))
    try:
        outcome = await _run(active, run)
    except ThreadAbandoned:
        job = active.job
        logger.error("job %s (%s): its thread did not end; it is left to its lease", job.id, job.task)
        run.abandon(active)
        return
    except Exception as error:  # it raised an exception that can't even be inspected
        outcome = Raised(f"{type(error).__name__}, on looking at what the handler raised")
    if not isinstance(outcome, Returned):
        _log_if_failed(active.job, outcome)
    run.end(active, outcome)


def _log_if_failed(job: Job, outcome: Outcome) -> None:
    if isinstance(outcome, _FAILURES):
        attempt = f"attempt {job.attempt} of {job.max_retries + 1}"
        logger.warning("job %s (%s) failed in %s: %s", job.id, job.task, attempt, outcome.error)


async def _run(active: ActiveJob, run: WorkerRun) -> Outcome:
    job = active.job
    if job.unreadable is not None:
        return BadPayload(f"the record can't be read: {job.unreadable}")
    tasks = run.queues[job.queue].tasks
    task = tasks.get(job.task)
    if task is None:
        known = ", ".join(tasks) or "none"
        return UnknownTask(f"this worker's queue {job.queue!r} has no task {job.task!r}; it has: {known}")
    timeout = job.timeout
    if task.sandbox and timeout is None:
        timeout = run.limits.settings.sandbox_timeout
    if timeout is not None:
        active.timeout = timeout
        active.scope.deadline = trio.current_time() + timeout
    error: BaseException | None = None
    try:
        with active.scope:
            return await _call(task, job, run)
    except ThreadAbandoned:
        raise
    except BaseException as raised:  # noqa: ASYNC103  what a handler raises is the outcome of its job alone
        error = raised
    return _outcome(error, active, run)


async def _call(task: Task[..., Any, Any], job: Job, run: WorkerRun) -> Outcome:
    """Call the handler, on the loop, in a thread or in a process."""
    if task.sandbox:
        return await run.sandbox.run(Target.of(task.fn), job.payload, run.max_payload)
    signature = task.signature
    try:
        args, kwargs = signature.decode(job.payload)
    except ValueError as error:
        return BadPayload(str(error))
    if task.is_async:
        value = await _run_async(task.fn, args, kwargs)
    else:
        value = await run_in_thread(partial(task.fn, *args, **kwargs), run)
    return Returned(signature.result.encode_result(value, run.max_payload))


# Ctrl-C may interrupt a handler, but no code of the worker's own: there it would lose finished work.
@trio.lowlevel.disable_ki_protection
async def _run_async(fn: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    return await fn(*args, **kwargs)


def _outcome(error: BaseException | None, active: ActiveJob, run: WorkerRun) -> Outcome:
    """The outcome of a run that did not return: the reason why it was stopped beats what it raised after that."""
    job = active.job
    interrupt = None if error is None else _interrupt_in(error)
    if interrupt is not None:
        logger.warning("job %s (%s) met a KeyboardInterrupt: the worker stops", job.id, job.task)
        run.interrupt = interrupt
        run.stop(0)
        return Interrupted()
    reason = active.reason(run.drain)
    if reason is None:
        if error is None:
            return Raised("Cancelled: the handler cancelled the scope that it runs in")
        if _is_only(error, trio.Cancelled) and trio.current_effective_deadline() == -inf:
            return Interrupted()  # the worker itself is cancelled
        return outcome_of(error, trio.Cancelled)
    if error is not None and not _is_only(error, trio.Cancelled):
        logger.warning("job %s (%s) raised while it was stopped (%s)", job.id, job.task, reason.name, exc_info=error)
    match reason:
        case Reason.TIMEOUT:
            return TimedOut(f"TimedOut: the handler took longer than its timeout of {active.timeout:g} s")
        case Reason.CANCELLED:
            return CancelledByUser()
        case Reason.SHUTDOWN:
            return Interrupted()
        case Reason.LEASE_LOST:
            return LeaseLost()
    assert_never(reason)


def _is_only(error: BaseException, kind: type[BaseException]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.split(kind)[1] is None
    return isinstance(error, kind)


def _interrupt_in(error: BaseException) -> KeyboardInterrupt | None:
    while isinstance(error, BaseExceptionGroup):
        found = error.subgroup(KeyboardInterrupt)
        if found is None:
            return None
        error = found.exceptions[0]
    return error if isinstance(error, KeyboardInterrupt) else None
