"""Runs sync handlers in threads.  A thread can't be killed: a cancellation waits for its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, Final

import trio

from .run import WorkerRun

#: Handlers are counted against the worker's slots already, not against Trio's default of 40 threads.
_UNLIMITED: Final = trio.CapacityLimiter(inf)


class ThreadAbandoned(Exception):
    """A thread did not end within the time that a shutdown waits for it."""


async def run_in_thread(call: Callable[[], Any], run: WorkerRun) -> Any:
    """Run *call* in a thread, and return what it returns.

    When cancelled, it waits for the thread, in which ``trio.from_thread.check_cancelled`` raises.  Meanwhile the job
    keeps its slot, so that no retry starts beside it.  Only a shutdown ends that wait, with ThreadAbandoned.
    """
    ended = trio.Event()
    token = trio.lowlevel.current_trio_token()
    value: Any = None
    error: BaseException | None = None

    def in_thread() -> None:
        nonlocal value, error
        try:
            value = call()
        except BaseException as raised:  # noqa: ASYNC103  raised below, on the loop
            error = raised
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(ended.set)

    # Without this checkpoint, the one with which run_sync begins could raise before there is a thread to wait for.
    await trio.lowlevel.checkpoint_if_cancelled()
    try:
        await trio.to_thread.run_sync(in_thread, abandon_on_cancel=True, limiter=_UNLIMITED)
    except trio.Cancelled:  # noqa: ASYNC103  what the thread returned all the same beats the cancellation
        with trio.CancelScope(shield=True, deadline=run.thread_deadline) as wait:
            run.thread_waits.add(wait)
            await ended.wait()
        run.thread_waits.discard(wait)
        if not ended.is_set():
            raise ThreadAbandoned from None  # noqa: ASYNC104  its task ends with it
        if isinstance(error, trio.Cancelled):  # it came from check_cancelled, and belongs to this cancellation
            raise
    if error is not None:
        raise error
    return value
