"""Keeps a few connections to the server, and serves each request with one of them.  Knows no jobs and no SQL."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from ..._core.errors import TrioqError
from .. import _request_runner
from .._requests import Work
from .errors import OUTDATED, ROLLED_BACK, UNPREPARED, code_of, is_denied, is_lost, translate

if TYPE_CHECKING:
    from .connection import Connection

_log: Final = logging.getLogger("trioq.postgres")

#: How often a request that collides with others is tried before its caller gets the error.
_TRIES: Final = 3


class RequestRunner(_request_runner.RequestRunner["Connection[Any]"]):
    """Serves requests over up to *size* connections, which *connect* makes, in autocommit; the last used goes first.

    Work that collides with that of others (serialization, deadlock) is done again.  So it must be one transaction, and
    have no other effects before its end.  *on_loss* is called where a connection broke.  *schema* is named in the error
    where the tables are missing.
    """

    _time_to_end = 0.5  # enough to tell the server, on a connection of its own

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection[Any]]],
        where: str,
        size: int = 4,
        on_loss: Callable[[], None] = lambda: None,
        schema: str = "trioq",
    ) -> None:
        super().__init__(where, _log)
        self._schema = schema
        self._connect = connect
        self._on_loss = on_loss
        self._idle: list[Connection[Any]] = []
        self._places = trio.Semaphore(size)
        self._prepares = True  #: whether a connection still has its prepared statements when it is used again

    async def _live(self, ready: trio.Event) -> None:
        try:
            await super()._live(ready)
        finally:  # also where the Trio run ends and no caller has closed us
            while self._idle:
                self._idle.pop().drop()

    def _at_hand(self) -> Connection[Any] | None:
        if not self._places.value:
            return None
        connection = self._warmest()
        if connection is not None:
            self._places.acquire_nowait()
        return connection

    async def _take(self) -> Connection[Any]:
        connection = self._at_hand()
        if connection is not None:
            return connection  # without a checkpoint: there is one where the answer is awaited
        await self._places.acquire()
        try:
            return self._warmest() or await self._connect_anew()
        except BaseException:
            self._places.release()
            raise

    def _warmest(self) -> Connection[Any] | None:
        """Return the connection that was used last, of those that no request uses and that are still open."""
        while self._idle:
            connection = self._idle.pop()
            if connection.stands:
                return connection
            self._on_loss()
        return None

    async def _connect_anew(self) -> Connection[Any]:
        connection = await self._connect()
        connection.patience = self._time_to_end
        connection.outlives_a_cut = False
        if not self._prepares:
            connection.prepare_threshold = None
        return connection

    def _put_back(self, link: Connection[Any], broken: bool) -> None:
        self._places.release()
        if broken:
            self._on_loss()
        if broken or not link.is_at_rest:
            link.drop()
        else:
            self._idle.append(link)

    async def _do(self, work: Work, link: Connection[Any]) -> Any:
        for left in reversed(range(_TRIES)):
            try:
                return await work(link)
            except Exception as error:
                if not left or not await self._mend(link, code_of(error)):  # noqa: ASYNC120  once cancelled, it is moot
                    raise
        raise AssertionError("the last try returns or raises")

    async def _mend(self, link: Connection[Any], code: str) -> bool:
        """Mend the connection if need be, and say whether the work that was rolled back may be done again at once."""
        if not link.is_at_rest:
            return False
        if code in UNPREPARED:
            if self._prepares:
                _log.info("%s: a pooler loses prepared statements, and so they are used no more", self._where)
            self._prepares = False
            link.prepare_threshold = None
        if code == OUTDATED:
            await link.execute(b"DEALLOCATE ALL")
        return code in ROLLED_BACK or code in UNPREPARED or code == OUTDATED

    def _is_lost(self, error: Exception) -> bool:
        return is_lost(error)

    def _is_denied(self, error: Exception) -> bool:
        return is_denied(error)

    def _translate(self, error: Exception) -> TrioqError:
        return translate(error, self._where, self._admitted, self._schema)
