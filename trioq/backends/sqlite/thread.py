"""Runs requests on the connection: in a thread that owns it, or, inline, on the event loop.  Knows no jobs."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import trio

from ..._core.errors import BackendNotOpen, BackendUnavailable
from .group_commit import GroupCommit, Request, Work
from .hint_counters import QueueHints

#: Requests in one transaction, at most.
_GROUP: Final = 500

Notify = Callable[[QueueHints], None]


class Inline:
    """Runs every request at once, on the event loop: for virtual time, which would run away while a thread works."""

    def __init__(self, opening: Callable[[], GroupCommit], notify: Notify, backend: object) -> None:
        self._opening = opening
        self._notify = notify
        self._backend = backend  #: for messages
        self._commit: GroupCommit | None = None

    async def start(self) -> None:
        """Open the connection."""
        await trio.lowlevel.checkpoint()
        self._commit = self._opening()

    async def stop(self) -> None:
        """Close the connection."""
        await trio.lowlevel.checkpoint()
        self.abandon()

    def abandon(self) -> None:
        """Close the connection; can be called from anywhere."""
        if self._commit is not None:
            self._commit.close()
            self._commit = None

    async def read(self, work: Work) -> Any:
        """Do work that only reads."""
        await trio.lowlevel.checkpoint()
        return self._serve(Request(work, writes=False))

    async def write(self, work: Work, patience: float) -> Any:
        """Do work that writes."""
        await trio.lowlevel.checkpoint()
        return self._serve(Request(work, writes=True, patience=patience))

    def _serve(self, request: Request) -> Any:
        if self._commit is None:
            raise BackendNotOpen(self._backend)
        _, queue_hints = self._commit.serve([request])
        self._notify(queue_hints)
        return request.answer()


class ConnectionThread:
    """Owns the connection in a daemon thread.  All requests that wait when it is free go into one transaction.

    It catches every error, and ends when it is told to, or when the ``trio.run`` that it works for is over.
    """

    def __init__(self, opening: Callable[[], GroupCommit], notify: Notify, backend: object) -> None:
        self._opening = opening
        self._notify = notify
        self._backend = backend  #: for messages
        self._token = trio.lowlevel.current_trio_token()
        self._inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._commit: GroupCommit | None = None
        self._stopping = False
        self._last_seen = False  #: whether the thread has read its inbox to the end
        self._ended = trio.Event()
        self._thread = threading.Thread(target=self._run, name=f"trioq {backend}", daemon=True)

    async def start(self) -> None:
        """Open the connection, in the thread that will use it."""
        self._thread.start()
        try:
            await self._ask(Request(lambda _: None, writes=False))
        except BaseException:
            self.abandon()
            raise

    async def stop(self) -> None:
        """Serve what waits already, close the connection, end the thread."""
        self.abandon()
        await self._ended.wait()

    def abandon(self) -> None:
        """Tell the thread to end, and don't wait for it; can be called from anywhere."""
        self._stopping = True
        if self._commit is not None:
            self._commit.hurry = True
        self._inbox.put(None)

    async def read(self, work: Work) -> Any:
        """Do work that only reads.  A cancelled caller leaves at once: no caller needs the answer any more."""
        await trio.lowlevel.checkpoint_if_cancelled()
        return await self._ask(Request(work, writes=False))

    async def write(self, work: Work, patience: float) -> Any:
        """Do work that writes.  Once it has begun, its outcome is awaited, *patience* seconds at most."""
        await trio.lowlevel.checkpoint_if_cancelled()
        request = Request(work, writes=True, patience=patience)
        with trio.move_on_after(patience) as waiting:
            try:
                return await self._ask(request)
            except trio.Cancelled:  # noqa: ASYNC103  it comes again, at the next checkpoint
                if request.withdrawn:
                    raise
            waiting.shield = True
            return await self._answer_to(request)
        if request.served and not request.withdrawn:  # in time: only the event loop was late
            return request.answer()
        outcome = "nothing was written" if request.withdrawn else "whether the write was stored is unknown"
        raise BackendUnavailable(f"no answer within {patience:g} s: {outcome}")

    async def _ask(self, request: Request) -> Any:
        if self._stopping:
            raise BackendNotOpen(self._backend)
        self._inbox.put(request)
        return await self._answer_to(request)

    async def _answer_to(self, request: Request) -> Any:
        """Wait for the answer.  A cancelled caller withdraws the request, so that it never begins, unless it has."""

        def leave(_: object) -> trio.lowlevel.Abort:
            request.waiter = None
            request.withdraw()
            return trio.lowlevel.Abort.SUCCEEDED

        if not request.answered:
            request.waiter = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(leave)
        return request.answer()

    # -- in the thread --

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            self._commit = self._opening()
        except BaseException as error:  # noqa: ASYNC103  every request raises it
            failure = error
        waiting: list[Request] = []
        while self._gather(waiting):
            served, queue_hints = _refuse(waiting, failure) if self._commit is None else self._commit.serve(waiting)
            answered, waiting = waiting[:served], waiting[served:]
            for request in answered:
                request.served = True
            if not self._to_loop(partial(self._answer, answered, queue_hints)):
                break
        if self._commit is not None:
            with suppress(sqlite3.Error):
                self._commit.close()
        self._to_loop(self._ended.set)

    def _gather(self, waiting: list[Request]) -> bool:
        """Add the requests of the inbox; wait only while there is none.  Return False at the end."""
        with suppress(queue.Empty):
            while not self._last_seen and len(waiting) < _GROUP:
                request = self._inbox.get(block=not waiting)
                if request is None:
                    self._last_seen = True
                else:
                    waiting.append(request)
        return bool(waiting)

    def _to_loop(self, call: Callable[[], object]) -> bool:
        """Have the event loop make this call, and say whether there still is a loop."""
        try:
            self._token.run_sync_soon(call)
        except trio.RunFinishedError:
            return False
        return True

    # -- on the event loop --

    def _answer(self, requests: Sequence[Request], queue_hints: QueueHints) -> None:
        self._notify(queue_hints)
        for request in requests:
            request.answered = True
            if request.waiter is not None:
                trio.lowlevel.reschedule(request.waiter)


def _refuse(requests: Sequence[Request], failure: BaseException | None) -> tuple[int, QueueHints]:
    for request in requests:
        request.error = failure
    return len(requests), {}
