"""Keeps one link to the server, and serves every request over it.  Knows no jobs, and of Redis only the `Link`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import trio

from ..._core.errors import BackendUnavailable, TrioqError
from .._base import PATIENCE
from .._calls import Call, Work, wait_cancellable, wait_known
from .errors import is_denied, is_lost, translate

if TYPE_CHECKING:
    from .client import Link

_log: Final = logging.getLogger("trioq.redis")


class Office:
    """Keeps one link to the server, and sends requests over it.  *connect* makes a link in the nursery given to it."""

    def __init__(self, connect: Callable[[trio.Nursery], Awaitable[Link]], where: str) -> None:
        self._connect = connect
        self._where = where
        self._link: Link | None = None
        self._admitted = False  #: whether the server has ever done what it was asked
        self._turned_away = False  #: whether it has said since then that we may not
        self._connecting = trio.Lock()
        self._nursery: trio.Nursery | None = None
        self._begun = False
        self._life = trio.CancelScope()
        self._ended = trio.Event()

    # -- lifetime --

    async def open(self) -> None:
        """Begin, as a system task: users come and go in any order, and none of their nurseries would do."""
        ready = trio.Event()
        self._begun = True
        trio.lowlevel.spawn_system_task(self._live, ready)
        await ready.wait()

    async def _live(self, ready: trio.Event) -> None:
        try:
            with self._life:
                async with trio.open_nursery() as self._nursery:
                    ready.set()
                    await trio.sleep_forever()
        finally:
            self._ended.set()

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
        call = Call(work)
        self.nursery.start_soon(self.serve, [call], call.work)
        return await wait_cancellable(call)

    async def write(self, work: Work, patience: float) -> Any:
        """Do what writes.  Once it has left, its outcome is waited for, *patience* seconds at most."""
        await trio.lowlevel.checkpoint_if_cancelled()
        call = Call(work)
        self.nursery.start_soon(self.serve, [call], call.work)
        return await wait_known(call, patience)

    # -- the server's side --

    async def serve(self, calls: Sequence[Call], work: Work) -> None:
        """Do *work*, the work of all these calls, and answer it to each."""
        error: BaseException | None = None
        result: Any = None
        link: Link | None = None
        try:
            with trio.move_on_after(PATIENCE) as waiting:
                link = await self._linked()
                calls = [call for call in calls if call.leave()]
                result = await work(link) if calls else None
                self._admitted, self._turned_away = True, False
            if waiting.cancelled_caught:
                self._forget(link)
                error = BackendUnavailable(f"{self._where} did not answer within {PATIENCE:g} s")
        except Exception as raised:  # each of its users raises it
            if is_lost(raised):
                self._forget(link)
            error = translate(raised, self._where, self._admitted)
            if error is not raised:
                error.__cause__ = raised
            if self._admitted and is_denied(raised):
                self._complain(error)
        except trio.Cancelled:
            error = BackendUnavailable(f"{self._where}: closed while the request was under way")
            raise
        finally:
            for call in calls:
                call.result, call.error = result, error
                call.done.set()

    def _complain(self, error: TrioqError) -> None:
        """Say once what somebody must change: whoever asks may take it for an outage, and wait."""
        if not self._turned_away:
            self._turned_away = True
            _log.error("%s", error)

    async def _linked(self) -> Link:
        if self._link is not None and self._link.usable:
            return self._link  # without the wait that even a free lock is: a request goes at once
        async with self._connecting:
            if self._link is None or not self._link.usable:
                self._link = None
                self._link = await self._connect(self.nursery)
            return self._link

    def _forget(self, link: Link | None) -> None:
        """Take another link next time: this one broke, or nobody answers, or it leads to the wrong server."""
        if link is not None:
            link.close()
        if self._link is link:  # else somebody has found out before us, and made another
            self._link = None
