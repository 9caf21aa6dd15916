"""A queue inside of the caller's database transaction.  The backend knows what a transaction is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from ._handle import JobHandle
from ._task import Call

if TYPE_CHECKING:
    from ._queue import Queue

R = TypeVar("R")


class QueueInTransaction:
    """Enqueues jobs as a part of the caller's transaction; `Queue.within` makes it.

    Other connections see its jobs once the transaction commits; until then a handle's ``state()`` and ``result()``
    find no job.  Errors of the database are raised as psycopg raised them: handle them, and roll back, as in any
    transaction of yours.
    """

    def __init__(self, queue: Queue, connection: object) -> None:
        self._queue = queue
        self._connection = connection
        self._ended = False

    def end(self) -> None:
        """Refuse further calls: the block is left, and their jobs would belong to no transaction, or to another."""
        self._ended = True

    def __repr__(self) -> str:
        return f"<QueueInTransaction {self._queue.name!r}>"

    async def enqueue(self, call: Call[R], /) -> JobHandle[R]:
        """Add one bound call, ``send.bind(to)``, in a round trip of its own.  IdTaken as in `Task.enqueue`."""
        [handle] = await self.enqueue_many([call])
        return handle

    async def enqueue_many(self, calls: Iterable[Call[R]], /) -> list[JobHandle[R]]:
        """Add many bound calls, in a round trip for each 1,000 jobs or 4 MiB.

        A taken id (IdTaken) keeps no other job of its chunk out, unless you let the error undo the transaction.
        """
        if self._ended:
            raise RuntimeError(f"the block of {self._queue!r}.within() has been left. Enqueue inside of it")
        handles: list[JobHandle[R]] = []
        for chunk in self._queue.chunked(calls):
            reply = await self._queue.backend.insert_within(self._connection, [call.job for call in chunk])
            added, taken = self._queue.handles(chunk, reply)
            if taken is not None:
                raise taken
            handles += added
        return handles
