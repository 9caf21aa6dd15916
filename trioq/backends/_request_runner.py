"""Runs requests to a server so that a cancelled caller never interrupts a write.

Each backend's own runner keeps the connections and reads the server's errors.  This one knows no jobs and no server.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import trio
from trio_util import RepeatedEvent

from .._core.errors import BackendUnavailable, TrioqError
from ._base import PATIENCE
from ._requests import PendingRequest, Work, wait_cancellable, wait_known

L = TypeVar("L")


class RequestRunner(ABC, Generic[L]):
    """Runs requests, each over a connection of the server's kind."""

    def __init__(self, where: str, log: logging.Logger) -> None:
        self._where = where
        self._log = log
        self._admitted = False  #: whether a request has ever succeeded
        self._turned_away = False  #: whether the server has denied us access since then
        self._nursery: trio.Nursery | None = None
        self._begun = False
        self._life = trio.CancelScope()
        self._ended = trio.Event()
        self._here: set[trio.CancelScope] = set()  #: the scopes of the writes that run in their callers' tasks
        self._left_here = RepeatedEvent()  #: set when one of these writes ends

    # -- what each backend defines --

    #: Seconds that it may take to end a request whose task is cancelled; 0 where that does not end the request.
    _time_to_end: float = 0.0

    @abstractmethod
    def _at_hand(self) -> L | None:
        """Return a connection that can serve a request at once, or None."""

    @abstractmethod
    async def _take(self) -> L:
        """Return a connection for a request; wait for one where none is free."""

    @abstractmethod
    def _put_back(self, link: L, broken: bool) -> None:
        """Take back the connection after a request; *broken* says that it can't be used again."""

    @abstractmethod
    def _is_lost(self, error: Exception) -> bool:
        """Whether the connection that raised *error* can't be used again."""

    def _is_silent(self, link: L) -> bool:
        """Whether the connection can't be used again after a caller did not wait for its answer."""
        return True

    @abstractmethod
    def _is_denied(self, error: Exception) -> bool:
        """Whether the server denies access to our user, known to it or not."""

    @abstractmethod
    def _translate(self, error: Exception) -> TrioqError:
        """Turn *error* into the error that the caller gets."""

    async def _do(self, work: Work, link: L) -> Any:
        """Do the work."""
        return await work(link)

    # -- lifetime --

    async def open(self) -> None:
        """Begin, in a system task: callers come and go in any order, so no caller's nursery could hold it."""
        ready = trio.Event()
        self._begun = True
        trio.lowlevel.spawn_system_task(self._live, ready)
        await ready.wait()

    async def _live(self, ready: trio.Event) -> None:
        try:
            async with trio.open_nursery() as self._nursery:
                try:
                    with self._life:
                        ready.set()
                        await trio.sleep_forever()
                finally:  # also where the Trio run ends and no caller has closed us
                    self._nursery.cancel_scope.cancel()
                    with trio.move_on_after(PATIENCE, shield=True):
                        await self._end_what_is_here()
        finally:
            self._ended.set()

    async def _end_what_is_here(self) -> None:
        for write in self._here:
            write.cancel()
        while self._here:
            await self._left_here.wait()

    async def close(self) -> None:
        """End, even before it has fully begun.  Requests under way fail with BackendUnavailable, outcome unknown."""
        self._life.cancel()
        if self._begun:
            await self._ended.wait()

    @property
    def nursery(self) -> trio.Nursery:
        """The nursery of tasks that no caller owns.  Each task catches its own errors."""
        assert self._nursery is not None, "it is open"
        return self._nursery

    # -- in the caller's task --

    async def read(self, work: Work) -> Any:
        """Do work that only reads.  A cancelled caller leaves at once: no caller needs the answer any more."""
        await trio.lowlevel.checkpoint_if_cancelled()
        request = PendingRequest()
        self.nursery.start_soon(self.serve, request, work)
        return await wait_cancellable(request)

    @trio.lowlevel.enable_ki_protection
    async def write(self, work: Work, patience: float) -> Any:
        """Do work that writes.  Once the request is sent, its outcome is awaited, *patience* seconds at most.

        Where a connection is free, the request is sent in the caller's own task, before the event loop turns.  A
        *patience* shorter than the server may take rules that out: it would cut the request short.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if patience >= PATIENCE or not self._time_to_end:
            link = self._at_hand()
            if link is not None:
                return await self._write_here(link, work, patience)
        request = PendingRequest()
        self.nursery.start_soon(self.serve, request, work)
        return await wait_known(request, patience)

    async def _write_here(self, link: L, work: Work, patience: float) -> Any:
        """Write in the caller's task, within *patience*.  Only its end, closing and Ctrl-C interrupt the write."""
        with trio.move_on_after(patience - self._time_to_end, shield=True) as waiting:
            self._here.add(waiting)
            try:
                return await self._ask(link, work)
            except Exception as raised:
                if waiting.cancel_called:
                    raise self._unanswered(patience) from raised
                raise self._as_ours(raised)  # noqa: B904  with its cause
            finally:
                self._here.discard(waiting)
                self._left_here.set()
        raise self._unanswered(patience)

    def _unanswered(self, patience: float) -> BackendUnavailable:
        if self._life.cancel_called:
            return self._closed()
        return BackendUnavailable(f"no answer within {patience:g} s: whether the write was stored is unknown")

    # -- over a connection --

    @trio.lowlevel.enable_ki_protection
    async def serve(self, request: PendingRequest, work: Work) -> None:
        """Do the work of a request, unless it was withdrawn, and store the answer in it."""
        try:
            with trio.move_on_after(PATIENCE) as waiting:
                link = await self._take()
                waiting.deadline = trio.current_time() + PATIENCE
                request.result = await self._ask(link, work if request.leave() else nothing)
            if waiting.cancelled_caught:
                request.error = BackendUnavailable(f"{self._where} did not answer within {PATIENCE:g} s")
        except Exception as raised:  # its caller raises it
            request.error = self._as_ours(raised)
        except trio.Cancelled:
            request.error = self._closed()
            raise
        finally:
            request.done.set()

    def _closed(self) -> BackendUnavailable:
        return BackendUnavailable(f"{self._where}: closed while the request was under way")

    async def _ask(self, link: L, work: Work) -> Any:
        """Do the work and put the connection back.  If the task is cancelled first, the connection may be given up."""
        broken = True
        try:
            result = await self._do(work, link)
            broken = False
            self._admitted, self._turned_away = True, False
            return result
        except Exception as raised:
            broken = self._is_lost(raised)
            raise
        except trio.Cancelled:
            broken = self._is_silent(link)
            raise
        finally:
            self._put_back(link, broken)

    def _as_ours(self, raised: Exception) -> TrioqError:
        """Return the error that the caller gets, with its cause.

        An error that an operator must fix is logged, once: the caller may take it for an outage, and wait.
        """
        error = self._translate(raised)
        if error is not raised:
            error.__cause__ = raised
        if self._admitted and self._is_denied(raised) and not self._turned_away:
            self._turned_away = True
            self._log.error("%s", error)
        return error


async def nothing(_: Any) -> None:
    """Do nothing: the work of a caller that only checks for a connection, and of one that has left."""
