"""Where tasks wait for their turn on a connection, and which of them are not to be cut short.  No psycopg here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio


@attrs.define
class _Uncut:
    """What of a task's waiting isn't cut short."""

    turn: bool
    answer: bool

    def __or__(self, other: _Uncut | None) -> _Uncut:
        return self if other is None else _Uncut(self.turn or other.turn, self.answer or other.answer)


class ConnectionLock:
    """Used as psycopg uses its lock; it also knows who isn't to be cut short."""

    def __init__(self) -> None:
        self._turn = trio.Semaphore(1)  # a Lock wouldn't be released by whoever closes a forgotten generator
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
            uncut.turn = True  # it has begun: from now on it goes through with it
        self._asks = task

    async def _acquire(self) -> None:
        """No checkpoint where nobody is in the way: the question that follows is one."""
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
        """Inside, this task waits for its turn, and for what becomes of that which it asks, also when cancelled.

        Without *turn*, it can be cancelled until its first one.  Without *answer*, while it waits for an answer.
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
        """Whether this task hears what becomes of that which it has asked, also when cancelled."""
        uncut = self._uncut.get(trio.lowlevel.current_task())
        return uncut is not None and uncut.answer
