"""Group commit for a server: calls that come while a request is under way go together in the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import trio

from .._core.errors import BackendUnavailable, TrioqError
from ._requests import Call, Work, wait_known

#: Items in one merged request, at most, unless a single call has more: it keeps the server busy for a few
#: milliseconds then.
_MERGED: Final = 1_000

#: Bytes in one merged request, as far as they count: hundreds of large payloads at once would come through within
#: nobody's patience.
_MERGED_BYTES: Final = 4 * 2**20

A = TypeVar("A")
T = TypeVar("T")


class Desk(Protocol):
    """Where requests are served, each with a connection."""

    @property
    def nursery(self) -> trio.Nursery:
        """Where tasks run that no user owns."""

    async def write(self, work: Work, patience: float) -> Any:
        """Do what writes."""

    async def serve(self, call: Call, work: Work) -> None:
        """Do the work of a call, and answer it."""


class Merger(Generic[T, A]):
    """Merges concurrent calls of one verb: those that come while a request is under way go together in the next.

    When nothing is under way, a call goes at once.  *ask* does many items' work over a link, *part* takes one call's
    share of its answer, *size* tells about how many bytes an item is.
    """

    def __init__(
        self,
        desk: Desk,
        ask: Callable[[Any, Sequence[T]], Awaitable[A]],
        part: Callable[[A, slice], A],
        size: Callable[[T], int],
    ) -> None:
        self._desk = desk
        self._ask = ask
        self._part = part
        self._size = size
        self._turn = trio.Lock()
        self._gathers = False  #: whether a task is there that sends what waits
        self._waiting: deque[tuple[Call, Sequence[T]]] = deque()

    @trio.lowlevel.enable_ki_protection
    async def write(self, items: Sequence[T], patience: float) -> A:
        """The answer for these items."""
        if self._turn.locked():
            return await self._join(items, patience)
        self._turn.acquire_nowait()
        try:
            answer: A = await self._desk.write(lambda link: self._ask(link, items), patience)
            return answer
        finally:
            self._turn.release()

    async def _join(self, items: Sequence[T], patience: float) -> A:
        """These items' share of the answer to what gathers until the request that is under way is answered."""
        await trio.lowlevel.checkpoint_if_cancelled()
        call = Call()
        self._waiting.append((call, items))
        if not self._gathers:
            self._gathers = True
            self._desk.nursery.start_soon(self._send_waiting)
        answer: A = await wait_known(call, patience)
        return answer

    @trio.lowlevel.enable_ki_protection
    async def _send_waiting(self) -> None:
        """Send what has gathered, once that which is under way is answered."""
        group: list[tuple[Call, Sequence[T]]] = []
        try:
            async with self._turn:
                while self._waiting:
                    group = self._next()
                    await self._send(group)
        finally:
            self._gathers = False
            group += self._waiting
            self._waiting.clear()
            for call, _ in group:
                if not call.done.is_set():  # the backend is being closed
                    call.error = BackendUnavailable("the backend was closed while the request was under way")
                    call.done.set()

    def _next(self) -> list[tuple[Call, Sequence[T]]]:
        group: list[tuple[Call, Sequence[T]]] = []
        count = size = 0
        while self._waiting:
            _, items = self._waiting[0]
            count += len(items)
            size += sum(map(self._size, items))
            if group and (count > _MERGED or size > _MERGED_BYTES):
                break
            group.append(self._waiting.popleft())
        return group

    async def _send(self, group: Sequence[tuple[Call, Sequence[T]]]) -> None:
        """One request for the group.  Where the server refuses it, one for each, so that a bad item fails alone."""
        whole = Call()
        await self._desk.serve(
            whole, lambda link: self._ask_for([(call, items) for call, items in group if call.leave()], link)
        )
        if isinstance(whole.error, TrioqError) and not isinstance(whole.error, BackendUnavailable) and len(group) > 1:
            for each in group:
                await self._send([each])
            return
        for call, _ in group:
            if not call.done.is_set():
                call.error = _copied(whole.error)
                call.done.set()

    async def _ask_for(self, group: Sequence[tuple[Call, Sequence[T]]], link: Any) -> None:
        if not group:  # all were withdrawn while the link was made
            return
        answer = await self._ask(link, [item for _, items in group for item in items])
        start = 0
        for call, items in group:
            call.result = self._part(answer, slice(start, start + len(items)))
            start += len(items)
            call.done.set()


def _copied(error: BaseException | None) -> BaseException | None:
    """One for each who raises it: a shared one would collect the tracebacks of all of them."""
    if not isinstance(error, TrioqError):
        return error
    copied = type(error).__new__(type(error), *error.args)  # its __init__ takes other arguments
    copied.__dict__.update(error.__dict__)
    copied.__cause__ = error.__cause__
    return copied
