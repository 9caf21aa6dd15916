"""Between a user's task, which may be cancelled at any moment, and a server, which must not notice.

A request that is not asked in its user's own task (see `_office`) runs in one of the backend's.  Its user waits beside
it, and may leave: before the request has left, so that it never does, and after that only without its answer.  Knows no
jobs and no server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio

from .._core.errors import BackendUnavailable

#: What to do with a connection.
Work = Callable[[Any], Awaitable[Any]]


@attrs.define(eq=False)
class PendingRequest:
    """One call of a verb, and what came of it."""

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


async def wait_cancellable(request: PendingRequest) -> Any:
    """The answer, or Cancelled at once."""
    try:
        await request.done.wait()
    except trio.Cancelled:
        request.withdraw()
        raise
    return request.answer()


async def wait_known(request: PendingRequest, patience: float) -> Any:
    """The answer; Cancelled only while the request has not left."""
    with trio.move_on_after(patience) as waiting:
        try:
            await request.done.wait()
        except trio.Cancelled:  # noqa: ASYNC103  it comes again, at the next checkpoint
            if request.withdraw():
                raise
        waiting.shield = True
        await request.done.wait()
    if request.done.is_set():
        return request.answer()
    outcome = "it was not sent" if request.withdraw() else "whether the write was stored is unknown"
    raise BackendUnavailable(f"no answer within {patience:g} s: {outcome}")
