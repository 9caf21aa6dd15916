"""The lock of a connection, and which tasks are not interrupted when cancelled.  No psycopg here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio


@attrs.define
class _Uncut:
    """Which waits of a task cancellation does not interrupt: for the lock, or for an answer."""

    turn: bool
    answer: bool

    def __or__(self, other: _Uncut | None) -> _Uncut:
        return self if other is None else _Uncut(self.turn or other.turn, self.answer or other.answer)


class ConnectionLock:
    """The lock that psycopg uses; it also knows which tasks must not be interrupted."""

    def __init__(self) -> None:
        self._turn = trio.Semaphore(1)  # another task may close a forgotten generator, and can't release a Lock
        self._asks: trio.lowlevel.Task | None = None
        self._uncut: dict[trio.lowlevel.Task, _Uncut] = {}

    async def __aenter__(self) -> None:
        task = trio.lowlevel.current_task()
        if self._asks is task:
            raise RuntimeError(
                "this task is in the midst of notifies(), stream() or copy() on this connection. Ask on another "
                "connection, or leave that first; leave notifies() and stream() by way of contextlib.aclosing"
            )
        uncut = self._uncut.get(task)
        if uncut is None:
            await self._acquire()
        else:
            with trio.CancelScope(shield=uncut.turn):
                await self._acquire()
            uncut.turn = True  # the block has begun: from now on it waits for the lock in any case
        self._asks = task

    async def _acquire(self) -> None:
        """Take the lock, without a checkpoint where it is free: the query that follows is one."""
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            await self._turn.acquire()

    async def __aexit__(self, *raised: object) -> None:
        self._asks = None
        self._turn.release()

    @contextmanager
    def uncut(self, *, turn: bool = True, answer: bool = True) -> Iterator[None]:
        """Inside, a cancelled task still waits for the lock, and for the answers to its queries.

        Without *turn*, it can be cancelled until it first has the lock.  Without *answer*, it can be cancelled while
        it waits for an answer.
        """
        task = trio.lowlevel.current_task()
        before = self._uncut.get(task)
        self._uncut[task] = _Uncut(turn, answer) | before
        try:
            yield
        finally:
            if before is None:
                del self._uncut[task]
            else:
                self._uncut[task] = before

    @property
    def answer_is_uncut(self) -> bool:
        """Whether this task waits for the answer to its query also when cancelled."""
        uncut = self._uncut.get(trio.lowlevel.current_task())
        return uncut is not None and uncut.answer
