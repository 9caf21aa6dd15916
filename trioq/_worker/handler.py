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
from .active_job import Reason, Running
from .limiter import admitted_or_ended
from .run import Shift
from .threads import ThreadAbandoned, run_in_thread

logger: Final = logging.getLogger("trioq.worker")

#: The outcomes that spend an attempt: each is worth a line in the log, with the traceback where there is one.
_FAILURES: Final = (Raised, TimedOut, UnknownTask, RetryAsked, Rejected, BadPayload)


@trio.lowlevel.enable_ki_protection
async def handle_all(receive: trio.MemoryReceiveChannel[list[Running]], shift: Shift) -> None:
    """Start a task for each job; end when the channel has closed and every handler has ended."""
    with receive, shift.drain:
        async with trio.open_nursery() as nursery:
            # The end of the grace is for handlers; whoever sends down this channel must find it served to its end.
            with trio.CancelScope(shield=True):
                async for batch in receive:
                    if nursery.cancel_scope.cancel_called:
                        # A task ended in an error that nothing here could catch: what comes now is released, not
                        # started among the cancelled, and the error comes out of `start`.
                        shift.stop(0)
                    for running in batch:
                        nursery.start_soon(handle, running, shift, name=running.job.task)


@trio.lowlevel.enable_ki_protection
async def handle(running: Running, shift: Shift) -> None:
    """Run one job's handler, and hand over how that ended.  It swallows every cancellation: its task ends with it."""
    if running.why is not None:  # cancelled or lost on its way here
        shift.end(running, _outcome(None, running, shift))
        return
    # Judged again, for the way here may have taken a while; only a drain, its lease or a TTL can change the answer.
    now = shift.store.now()
    doubtful = shift.draining or now >= running.start_by or running.job.expires_at is not None
    if doubtful and not admitted_or_ended(running, now, shift):
        return
    if shift.rate is not None:
        shift.rate.spend()
    running.spent = True
    running_job.set(running)
    if event_emitter.wants(JobStarted.name):
        event_emitter.emit(JobStarted.of(running.job, shift.store.now()))
    try:
        outcome = await _run(running, shift)
    except ThreadAbandoned:
        job = running.job
        logger.error("job %s (%s): its thread did not end; it is left to its lease", job.id, job.task)
        shift.abandon(running)
        return
    except Exception as error:  # it raised what can't even be looked at
        outcome = Raised(f"{type(error).__name__}, on looking at what the handler raised")
    if not isinstance(outcome, Returned):
        _log_if_failed(running.job, outcome)
    shift.end(running, outcome)


def _log_if_failed(job: Job, outcome: Outcome) -> None:
    if isinstance(outcome, _FAILURES):
        attempt = f"attempt {job.attempt} of {job.max_retries + 1}"
        logger.warning("job %s (%s) failed in %s: %s", job.id, job.task, attempt, outcome.error)


async def _run(running: Running, shift: Shift) -> Outcome:
    job = running.job
    if job.unreadable is not None:
        return BadPayload(f"the record can't be read: {job.unreadable}")
    tasks = shift.queues[job.queue].tasks
    task = tasks.get(job.task)
    if task is None:
        known = ", ".join(tasks) or "none"
        return UnknownTask(f"this worker's queue {job.queue!r} has no task {job.task!r}; it has: {known}")
    timeout = job.timeout
    if task.sandbox and timeout is None:
        timeout = shift.limits.settings.sandbox_timeout
    if timeout is not None:
        running.timeout = timeout
        running.scope.deadline = trio.current_time() + timeout
    error: BaseException | None = None
    try:
        with running.scope:
            return await _call(task, job, shift)
    except ThreadAbandoned:
        raise
    except BaseException as raised:  # noqa: ASYNC103  whatever a handler raises is its job's outcome, and nobody else's
        error = raised
    return _outcome(error, running, shift)


async def _call(task: Task[..., Any, Any], job: Job, shift: Shift) -> Outcome:
    """The handler itself, on the loop, in a thread or in a process."""
    if task.sandbox:
        return await shift.sandbox.run(Target.of(task.fn), job.payload, shift.max_payload)
    signature = task.signature
    try:
        args, kwargs = signature.decode(job.payload)
    except ValueError as error:
        return BadPayload(str(error))
    if task.is_async:
        value = await _run_async(task.fn, args, kwargs)
    else:
        value = await run_in_thread(partial(task.fn, *args, **kwargs), shift)
    return Returned(signature.result.encode_result(value, shift.max_payload))


# Ctrl-C may interrupt a handler, and nothing of the worker's own: there it would lose what has been done.
@trio.lowlevel.disable_ki_protection
async def _run_async(fn: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    return await fn(*args, **kwargs)


def _outcome(error: BaseException | None, running: Running, shift: Shift) -> Outcome:
    """How a run ended that did not return: the reason it was stopped for beats whatever it raised after that."""
    job = running.job
    interrupt = None if error is None else _interrupt_in(error)
    if interrupt is not None:
        logger.warning("job %s (%s) met a KeyboardInterrupt: the worker stops", job.id, job.task)
        shift.interrupt = interrupt
        shift.stop(0)
        return Interrupted()
    reason = running.reason(shift.drain)
    if reason is None:
        if error is None:
            return Raised("Cancelled: the handler cancelled the scope that it runs in")
        if _is_only(error, trio.Cancelled) and trio.current_effective_deadline() == -inf:
            return Interrupted()  # the worker itself is going down
        return outcome_of(error, trio.Cancelled)
    if error is not None and not _is_only(error, trio.Cancelled):
        logger.warning("job %s (%s) raised while it was stopped (%s)", job.id, job.task, reason.name, exc_info=error)
    match reason:
        case Reason.TIMEOUT:
            return TimedOut(f"TimedOut: the handler took longer than its timeout of {running.timeout:g} s")
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
