"""Keeps one link to the server, and serves every request over it.  Knows no jobs, and of Redis only the `Link`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import trio

from ..._core.errors import TrioqError
from .. import _request_runner
from .._base import PATIENCE
from .errors import is_denied, is_lost, translate

if TYPE_CHECKING:
    from .client import Link

_log: Final = logging.getLogger("trioq.redis")

#: Seconds without an answer after which a link is taken for dead: a little less than a caller waits for its answer.
_SILENCE: Final = 0.9 * PATIENCE


class RequestRunner(_request_runner.RequestRunner["Link"]):
    """Keeps one link to the server, and sends requests over it.  *connect* makes a link in the nursery given to it."""

    def __init__(self, connect: Callable[[trio.Nursery], Awaitable[Link]], where: str) -> None:
        super().__init__(where, _log)
        self._connect = connect
        self._link: Link | None = None
        self._connecting = trio.Lock()

    def _at_hand(self) -> Link | None:
        return self._link if self._link is not None and self._link.usable else None

    async def _take(self) -> Link:
        link = self._at_hand()
        if link is not None:
            return link  # without the checkpoint that even a free lock is: a request goes at once
        async with self._connecting:
            link = self._at_hand()
            if link is None:
                self._link = None
                link = self._link = await self._connect(self.nursery)
            return link

    def _put_back(self, link: Link, broken: bool) -> None:
        """Give the link up if it broke, if the server doesn't answer, or if it leads to the wrong server."""
        if not broken:
            return
        link.close()
        if self._link is link:  # else another request has found out before, and made another
            self._link = None

    def _is_lost(self, error: Exception) -> bool:
        return is_lost(error)

    def _is_silent(self, link: Link) -> bool:
        """Whether it was silent for too long.  Many share it: an impatient caller gives up only its own request."""
        return link.silence >= _SILENCE

    def _is_denied(self, error: Exception) -> bool:
        return is_denied(error)

    def _translate(self, error: Exception) -> TrioqError:
        return translate(error, self._where, self._admitted)
