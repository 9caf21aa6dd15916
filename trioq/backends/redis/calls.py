"""Between a user's task, which may be cancelled at any moment, and the server, which must not notice.

Every request runs in a task of the backend's.  Its user waits beside it, and may leave: before the request has left,
so that it never does, and after that only without its answer.  Knows no jobs, and of Redis only the `Link`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs
import trio

from ..._core.errors import BackendUnavailable, TrioqError
from .._base import PATIENCE
from .errors import is_denied, is_lost, translate

if TYPE_CHECKING:
    from .client import Link

_log: Final = logging.getLogger("trioq.redis")

#: Items in one merged request, at most, unless a single call has more: a script keeps the server busy for a few
#: milliseconds then.
_MERGED: Final = 1_000

#: Bytes in one merged request, as far as they count: hundreds of large payloads at once would come through within
#: nobody's patience.
_MERGED_BYTES: Final = 4 * 2**20

A = TypeVar("A")
T = TypeVar("T")

#: What to do with a connection.
Work = Callable[["Link"], Awaitable[Any]]


@attrs.define(eq=False)
class Call:
    """One call of a verb, and what came of it."""

    work: Work
    result: Any = None
    error: BaseException | None = None
    left: bool = False  #: its request is on its way, or was
    withdrawn: bool = False  #: it never leaves
    done: trio.Event = attrs.field(init=False, factory=trio.Event)

    def leave(self) -> bool:
        """Whether it may go: from now on it can't be withdrawn."""
        self.left = not self.withdrawn
        return self.left

    def withdraw(self) -> bool:
        """Let it never leave, unless it has."""
        self.withdrawn = not self.left
        return self.withdrawn

    def answer(self) -> Any:
        """What its user gets."""
        if self.error is not None:
            raise self.error
        return self.result


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


async def wait_cancellable(call: Call) -> Any:
    """The answer, or Cancelled at once."""
    try:
        await call.done.wait()
    except trio.Cancelled:
        call.withdraw()
        raise
    return call.answer()


async def wait_known(call: Call, patience: float) -> Any:
    """The answer; Cancelled only while the request has not left."""
    with trio.move_on_after(patience) as waiting:
        try:
            await call.done.wait()
        except trio.Cancelled:  # noqa: ASYNC103  it comes again, at the next checkpoint
            if call.withdraw():
                raise
        waiting.shield = True
        await call.done.wait()
    if call.done.is_set():
        return call.answer()
    outcome = "it was not sent" if call.withdraw() else "whether the write was stored is unknown"
    raise BackendUnavailable(f"no answer within {patience:g} s: {outcome}")


class Merger(Generic[T, A]):
    """Merges concurrent calls of one verb: those that come while a request is under way go together in the next.

    When nothing is under way, a call goes at once.  *ask* does many items' work over a link, *part* takes one call's
    share of its answer, *size* tells about how many bytes an item is.
    """

    def __init__(
        self,
        office: Office,
        ask: Callable[[Link, Sequence[T]], Awaitable[A]],
        part: Callable[[A, slice], A],
        size: Callable[[T], int],
    ) -> None:
        self._office = office
        self._ask = ask
        self._part = part
        self._size = size
        self._waiting: deque[tuple[Call, Sequence[T]]] = deque()
        self._busy = False

    async def write(self, items: Sequence[T], patience: float) -> A:
        """The answer for these items."""
        await trio.lowlevel.checkpoint_if_cancelled()
        call = Call(lambda link: self._ask(link, items))
        self._waiting.append((call, items))
        if not self._busy:
            self._busy = True
            self._office.nursery.start_soon(self._send_all)
        answer: A = await wait_known(call, patience)
        return answer

    async def _send_all(self) -> None:
        group: list[tuple[Call, Sequence[T]]] = []
        try:
            while self._waiting:
                group = self._next()
                await self._send(group)
        finally:
            self._busy = False
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
        whole = Call(lambda link: self._ask_for([(call, items) for call, items in group if call.leave()], link))
        await self._office.serve([whole], whole.work)
        if isinstance(whole.error, TrioqError) and not isinstance(whole.error, BackendUnavailable) and len(group) > 1:
            for each in group:
                await self._send([each])
            return
        for call, _ in group:
            if not call.done.is_set():
                call.error = _copied(whole.error)
                call.done.set()

    async def _ask_for(self, group: Sequence[tuple[Call, Sequence[T]]], link: Link) -> None:
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
