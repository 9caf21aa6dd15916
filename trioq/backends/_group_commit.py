"""Group commit for a server: calls that come while a request is under way go together in the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import attrs
import trio

from .._core.errors import BackendUnavailable, TrioqError
from .._core.job import Job
from .._core.lifecycle import Change
from ._base import Inserted, Settled
from ._request_runner import RequestRunner
from ._requests import PendingRequest, wait_known

#: Items in one merged request, at most, unless a single call has more.  So many keep the server busy for a few
#: milliseconds.
_MERGED: Final = 1_000

#: Bytes in one merged request, at most, as *size* estimates them.  Hundreds of large payloads at once would take longer
#: than any caller waits.
_MERGED_BYTES: Final = 4 * 2**20

A = TypeVar("A")
T = TypeVar("T")


class GroupCommit(Generic[T, A]):
    """Merges concurrent calls of one verb: those that come while a request is under way go together in the next.

    When nothing is under way, a call goes at once.  *ask* sends many items over a link, *part* takes one call's share
    of the answer, and *size* estimates the bytes of an item.
    """

    def __init__(
        self,
        requests: RequestRunner[Any],
        ask: Callable[[Any, Sequence[T]], Awaitable[A]],
        part: Callable[[A, slice], A],
        size: Callable[[T], int],
    ) -> None:
        self._requests = requests
        self._ask = ask
        self._part = part
        self._size = size
        self._turn = trio.Lock()
        self._gathers = False  #: whether a task is running that sends what waits
        self._waiting: deque[tuple[PendingRequest, Sequence[T]]] = deque()

    @trio.lowlevel.enable_ki_protection
    async def write(self, items: Sequence[T], patience: float) -> A:
        """Write these items, and return their share of the answer."""
        if self._turn.locked():
            return await self._join(items, patience)
        self._turn.acquire_nowait()
        try:
            answer: A = await self._requests.write(lambda link: self._ask(link, items), patience)
            return answer
        finally:
            self._turn.release()

    async def _join(self, items: Sequence[T], patience: float) -> A:
        """Add these items to the next group, which is sent once the request under way is answered."""
        await trio.lowlevel.checkpoint_if_cancelled()
        request = PendingRequest()
        self._waiting.append((request, items))
        if not self._gathers:
            self._gathers = True
            self._requests.nursery.start_soon(self._send_waiting)
        answer: A = await wait_known(request, patience)
        return answer

    @trio.lowlevel.enable_ki_protection
    async def _send_waiting(self) -> None:
        """Send what has gathered, once the request under way is answered."""
        group: list[tuple[PendingRequest, Sequence[T]]] = []
        try:
            async with self._turn:
                while self._waiting:
                    group = self._next()
                    await self._send(group)
        finally:
            self._gathers = False
            group += self._waiting
            self._waiting.clear()
            for request, _ in group:
                if not request.done.is_set():  # the backend is being closed
                    request.error = BackendUnavailable("the backend was closed while the request was under way")
                    request.done.set()

    def _next(self) -> list[tuple[PendingRequest, Sequence[T]]]:
        group: list[tuple[PendingRequest, Sequence[T]]] = []
        count = size = 0
        while self._waiting:
            _, items = self._waiting[0]
            count += len(items)
            size += sum(map(self._size, items))
            if group and (count > _MERGED or size > _MERGED_BYTES):
                break
            group.append(self._waiting.popleft())
        return group

    async def _send(self, group: Sequence[tuple[PendingRequest, Sequence[T]]]) -> None:
        """Send one request for the group; if the server refuses it, one for each call: a bad item then fails alone."""
        whole = PendingRequest()
        await self._requests.serve(
            whole, lambda link: self._ask_for([(request, items) for request, items in group if request.leave()], link)
        )
        if len(group) > 1 and _is_refusal(whole.error):
            for each in group:
                await self._send([each])
            return
        for request, _ in group:
            if not request.done.is_set():
                request.error = _copied(whole.error)
                request.done.set()

    async def _ask_for(self, group: Sequence[tuple[PendingRequest, Sequence[T]]], link: Any) -> None:
        if not group:  # all were withdrawn while the link was made
            return
        answer = await self._ask(link, [item for _, items in group for item in items])
        start = 0
        for request, items in group:
            request.result = self._part(answer, slice(start, start + len(items)))
            start += len(items)
            request.done.set()


def _is_refusal(error: BaseException | None) -> bool:
    """Whether the server has answered, and refused: then one item alone may be the reason."""
    return error.refused if isinstance(error, BackendUnavailable) else isinstance(error, TrioqError)


def _copied(error: BaseException | None) -> BaseException | None:
    """Copy an error for each caller that raises it: a shared one would collect the tracebacks of all callers."""
    if not isinstance(error, TrioqError):
        return error
    copied = type(error).__new__(type(error), *error.args)  # its __init__ takes other arguments
    copied.__dict__.update(error.__dict__)
    copied.__cause__ = error.__cause__
    return copied


# --- inserts and settles -------------------------------------------------------------------------


def part_of_inserted(whole: Inserted, part: slice) -> Inserted:
    """Return one caller's share of an insert's answer."""
    return attrs.evolve(whole, jobs=whole.jobs[part], created=whole.created[part])


def part_of_settled(whole: Settled, part: slice) -> Settled:
    """Return one caller's share of a settle's answer."""
    return attrs.evolve(whole, verdicts=whole.verdicts[part])


def size_of_job(job: Job) -> int:
    """Estimate the bytes of a job."""
    return len(job.payload)


def size_of_change(change: Change) -> int:
    """Estimate the bytes of a change."""
    result = change.fields.get("result")
    inserts = sum(map(size_of_job, change.inserts))
    return inserts + (len(result) if isinstance(result, bytes) else 0) + sum(map(size_of_change, change.also))
