"""What any server's office does: it runs requests so that a user who leaves cuts none short that writes.

How connections are kept, and what a server's errors mean, each office knows itself.  Knows no jobs and no server.
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
    """Serves requests, each over a connection of the server's kind."""

    def __init__(self, where: str, log: logging.Logger) -> None:
        self._where = where
        self._log = log
        self._admitted = False  #: whether the server has ever done what it was asked
        self._turned_away = False  #: whether it has said since then that we may not
        self._nursery: trio.Nursery | None = None
        self._begun = False
        self._life = trio.CancelScope()
        self._ended = trio.Event()
        self._here: set[trio.CancelScope] = set()  #: around the writes that are done in the tasks of their callers
        self._left_here = RepeatedEvent()  #: one of them has ended

    # -- what each server's office knows itself --

    #: Seconds that it may take to end a request that is cut short together with its task; 0 where that ends nothing.
    _time_to_end: float = 0.0

    @abstractmethod
    def _at_hand(self) -> L | None:
        """A connection that serves a request at once, if there is one."""

    @abstractmethod
    async def _take(self) -> L:
        """A connection to serve a request with, also where it must be waited for."""

    @abstractmethod
    def _put_back(self, link: L, broken: bool) -> None:
        """A request is over; *broken* says that the connection is of no more use."""

    @abstractmethod
    def _is_lost(self, error: Exception) -> bool:
        """Whether the connection that raised it is of no more use."""

    def _is_silent(self, link: L) -> bool:
        """Whether a connection is of no more use on which somebody did not wait for the answer."""
        return True

    @abstractmethod
    def _is_denied(self, error: Exception) -> bool:
        """Whether the server knows us, or not, and does not let us."""

    @abstractmethod
    def _translate(self, error: Exception) -> TrioqError:
        """What the caller is told."""

    async def _do(self, work: Work, link: L) -> Any:
        """Do the work."""
        return await work(link)

    # -- lifetime --

    async def open(self) -> None:
        """Begin, as a system task: users come and go in any order, and none of their nurseries would do."""
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
                finally:  # also where the run ends, and nobody has closed us
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
        """End, also what has hardly begun: what is under way is answered that nobody knows its outcome."""
        self._life.cancel()
        if self._begun:
            await self._ended.wait()

    @property
    def nursery(self) -> trio.Nursery:
        """Where tasks run that no user owns.  Each catches what it raises."""
        assert self._nursery is not None, "it is open"
        return self._nursery

    # -- the user's side --

    async def read(self, work: Work) -> Any:
        """Do what only reads.  Cancelled at once: nobody misses what it would have read."""
        await trio.lowlevel.checkpoint_if_cancelled()
        request = PendingRequest()
        self.nursery.start_soon(self.serve, request, work)
        return await wait_cancellable(request)

    @trio.lowlevel.enable_ki_protection
    async def write(self, work: Work, patience: float) -> Any:
        """Do what writes.  Once it has left, its outcome is waited for, *patience* seconds at most.

        Where a connection is at hand it leaves in the caller's own task, before the loop turns; but not if that would
        cut it short after less time than the server may take.
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
        """Only the end of the patience, the closing and Ctrl-C cut it short; it has ended then within the patience."""
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

    # -- the server's side --

    @trio.lowlevel.enable_ki_protection
    async def serve(self, request: PendingRequest, work: Work) -> None:
        """Do the work of a call, unless it was withdrawn, and answer it."""
        try:
            with trio.move_on_after(PATIENCE) as waiting:
                link = await self._take()
                waiting.deadline = trio.current_time() + PATIENCE
                request.result = await self._ask(link, work if request.leave() else nothing)
            if waiting.cancelled_caught:
                request.error = BackendUnavailable(f"{self._where} did not answer within {PATIENCE:g} s")
        except Exception as raised:  # its user raises it
            request.error = self._as_ours(raised)
        except trio.Cancelled:
            request.error = self._closed()
            raise
        finally:
            request.done.set()

    def _closed(self) -> BackendUnavailable:
        return BackendUnavailable(f"{self._where}: closed while the request was under way")

    async def _ask(self, link: L, work: Work) -> Any:
        """Do the work, and put the connection back; who does not wait for the end gives it up."""
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
        """What the caller is told, with its cause.

        What somebody must change is logged, once: whoever asks may take it for an outage, and wait.
        """
        error = self._translate(raised)
        if error is not raised:
            error.__cause__ = raised
        if self._admitted and self._is_denied(raised) and not self._turned_away:
            self._turned_away = True
            self._log.error("%s", error)
        return error


async def nothing(_: Any) -> None:
    """The work of those who want to know that there is a connection, and of those who have left."""
