"""Keeps one link to the server, and serves every request over it.  Knows no jobs, and of Redis only the `Link`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from ..._core.errors import BackendUnavailable, TrioqError
from .. import _office
from .._base import PATIENCE
from .._calls import Work
from .errors import is_denied, is_lost, translate

if TYPE_CHECKING:
    from .client import Link

_log: Final = logging.getLogger("trioq.redis")

#: Seconds without an answer after which a link is taken for dead: a little less than anybody waits for his own.
_SILENCE: Final = 0.9 * PATIENCE


class Office(_office.Office["Link"]):
    """Keeps one link to the server, and sends requests over it.  *connect* makes a link in the nursery given to it."""

    def __init__(self, connect: Callable[[trio.Nursery], Awaitable[Link]], where: str) -> None:
        super().__init__(where, _log)
        self._connect = connect
        self._link: Link | None = None
        self._connecting = trio.Lock()

    @trio.lowlevel.enable_ki_protection
    async def write(self, work: Work, patience: float) -> Any:
        """Do what writes; in the caller's own task where there is a link, which saves the way to another and back."""
        link = self._link
        if link is None or not link.usable:  # a caller who leaves is not to break off the connecting
            return await super().write(work, patience)
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.move_on_after(patience) as waiting:
            waiting.shield = True
            try:
                return await self._ask(link, work)
            except Exception as raised:
                raise self._as_ours(raised)  # noqa: B904  with its cause
        raise BackendUnavailable(f"no answer within {patience:g} s: whether the write was stored is unknown")

    async def _take(self) -> Link:
        if self._link is not None and self._link.usable:
            return self._link  # without the wait that even a free lock is: a request goes at once
        async with self._connecting:
            if self._link is None or not self._link.usable:
                self._link = None
                self._link = await self._connect(self.nursery)
            return self._link

    def _put_back(self, link: Link, broken: bool) -> None:
        """Take another next time, if this one broke, or nobody answers, or it leads to the wrong server."""
        if not broken:
            return
        link.close()
        if self._link is link:  # else somebody has found out before us, and made another
            self._link = None

    def _is_lost(self, error: Exception) -> bool:
        return is_lost(error)

    def _is_silent(self, link: Link) -> bool:
        """Many share it: who is in a hurry gives up a request, and who has waited long enough the connection."""
        return link.silence >= _SILENCE

    def _is_denied(self, error: Exception) -> bool:
        return is_denied(error)

    def _translate(self, error: Exception) -> TrioqError:
        return translate(error, self._where, self._admitted)
