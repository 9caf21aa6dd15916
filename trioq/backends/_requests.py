"""A pending request: its caller may be cancelled at any moment, and the server must not notice.

A request that is not sent in its caller's own task runs in one of the backend's (see `_request_runner`).  Its caller
waits beside it, and may leave.  If it leaves before the request is sent, the request is never sent.  After that, the
caller only goes without the answer.  Knows no jobs and no server.
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
    """One call of a verb, and its outcome."""

    result: Any = None
    error: BaseException | None = None
    left: bool = False  #: whether it has been sent
    withdrawn: bool = False  #: whether it must never be sent
    done: trio.Event = attrs.field(init=False, factory=trio.Event)

    def leave(self) -> bool:
        """Mark it as sent, unless it was withdrawn; return whether it may be.  It can't be withdrawn after that."""
        self.left = not self.withdrawn
        return self.left

    def withdraw(self) -> bool:
        """Withdraw it, unless it has been sent; return whether it is withdrawn."""
        self.withdrawn = not self.left
        return self.withdrawn

    def answer(self) -> Any:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result


async def wait_cancellable(request: PendingRequest) -> Any:
    """Wait for the answer.  Can be cancelled at any time."""
    try:
        await request.done.wait()
    except trio.Cancelled:
        request.withdraw()
        raise
    return request.answer()


async def wait_known(request: PendingRequest, patience: float) -> Any:
    """Wait for the answer.  Can be cancelled only until the request is sent."""
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
