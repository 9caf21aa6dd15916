"""Limits how often commits notify other processes: at once where that is rare, else together, now and then.

A commit that notifies takes a lock of the whole server's notifications, and holds it while it waits for its disk.  If
each did so, all commits would wait for that lock, those of the application's own data among them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Final

import trio

from ..._core.errors import TrioqError
from .._base import Hint
from .listener import message
from .writes import QueueHints

_log: Final = logging.getLogger("trioq.postgres")

#: Seconds between two notifications of ours.
_INTERVAL: Final = 0.01

#: Seconds that a hint waits for another commit to carry it, before it is sent by itself.
_GRACE: Final = 0.01


class NotifyLimiter:
    """Decides which commits notify by themselves, and sends the hints of the others; *notify* sends messages."""

    def __init__(self, notify: Callable[[Sequence[str]], Awaitable[object]], me: str) -> None:
        self._notify = notify
        self._me = me
        self._quiet_until = -inf
        self._pending: QueueHints = {}
        self._waits = False

    def take_turn(self) -> QueueHints | None:
        """Return the hints that the next commit sends besides its own, if it may notify; None if it may not.

        If that commit fails, pass them to `later`.  If it may not notify, pass its own hints to `later`.
        """
        if trio.current_time() < self._quiet_until:
            return None
        return self._take()

    def later(self, queue_hints: QueueHints, nursery: trio.Nursery) -> None:
        """Send these hints soon, together with those that come until then."""
        for queue, hint in queue_hints.items():
            self._pending[queue] = self._pending.get(queue, Hint(0)) | hint
        if self._pending and not self._waits:
            self._waits = True
            nursery.start_soon(self._send_later)

    @trio.lowlevel.enable_ki_protection
    async def _send_later(self) -> None:
        try:
            while self._pending:
                await trio.sleep_until(self._quiet_until + _GRACE)
                if trio.current_time() >= self._quiet_until:  # else another commit has carried it
                    await self.send()
        finally:
            self._waits = False

    async def send(self) -> None:
        """Send the pending hints now.  If that fails, others find out by themselves: hints only make it faster."""
        queue_hints = self._take()
        try:
            if queue_hints:
                await self._notify(self.messages(queue_hints))
        except TrioqError as error:
            _log.debug("a hint was not sent: %s", error)

    def _take(self) -> QueueHints:
        self._quiet_until = trio.current_time() + _INTERVAL
        queue_hints, self._pending = self._pending, {}
        return queue_hints

    def messages(self, queue_hints: QueueHints) -> list[str]:
        """Return the hints as the messages to send."""
        return [message(queue, hint, self._me) for queue, hint in queue_hints.items()]
