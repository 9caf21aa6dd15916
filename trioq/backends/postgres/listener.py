"""Receives the hints that other processes send by NOTIFY.  No caller relies on them: a missed hint only costs time.

There is one channel for each schema, `channel_of`; a message is what `message` writes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any, Final

import trio

from .._base import Hint
from .._hints import ALL_HINTS, HintChannels, hint_from
from .queries import quoted

if TYPE_CHECKING:
    from .connection import Connection

_log: Final = logging.getLogger("trioq.postgres")

#: Seconds between two proofs that notifications arrive, while none comes anyway; each is a query.  An idle worker
#: claims every 2.5 s without a hint: that is how long a job waits if all hints get lost without an error.
_PROOFS: Final = 30.0

#: Seconds that a proof may take.
_DOUBT: Final = 1.0

#: Seconds between two hints to all watchers while no notification arrives, so that they look themselves.
_DEAF: Final = 1.5

#: Seconds between two tries to listen, where no proof has come back.
_AGAIN: Final = 10.0

#: Seconds that a watcher waits for the channel before it goes on without.
_LISTENING: Final = 1.0


def message(queue: str, hint: Hint, sender: str) -> str:
    """Return the text of a notification: ``"{bits} {sender} {queue}"``, in at most 240 bytes."""
    return f"{hint.value} {sender} {queue}"


async def _listen(connection: Connection[Any], channel: str) -> None:
    await connection.execute(f"LISTEN {quoted(channel)}".encode())


class Listener:
    """Listens on one connection while there are watchers in this process.

    *connect* makes the connection, and *notify* sends a message on a channel by another one.  *me* marks what this
    process has sent itself: its own watchers have received that already.

    That the server took LISTEN proves nothing.  A pooler that lends server connections for one transaction at a time
    takes it, too.  The notifications then get lost, or go to the client that has the server's connection next.  And a
    connection that neither side has closed can be dead for hours.  So the listener proves at first, and now and then,
    that notifications arrive: it has a message sent, on another connection, and waits for it.  Every message that
    arrives is a proof as well.  While nothing is proven, all watchers are sent hints at short intervals.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection[Any]]],
        notify: Callable[[str, str], Awaitable[object]],
        channel: str,
        hint_channels: HintChannels,
        me: str,
    ) -> None:
        self._connect = connect
        self._notify = notify
        self._channel = channel
        self._hint_channels = hint_channels
        self._me = me
        self._watchers = 0
        self._wanted = trio.Event()  #: set while there are watchers
        self._tried = trio.Event()  #: set after the first try to listen: no watcher waits for a second one
        self._heard = trio.Event()  #: set by the next message
        self._proven_until = -inf  #: until then, by Trio's clock, hints are taken to arrive
        self._life: trio.CancelScope | None = None
        self._complained = False

    @asynccontextmanager
    async def listening(self, queues: Iterable[str]) -> AsyncIterator[None]:
        """Listen for as long as the block runs; all queues have one channel."""
        self._watchers += 1
        if not self._wanted.is_set():
            self._wanted.set()
            self._proven_until = max(self._proven_until, trio.current_time() + _DOUBT)
        try:
            with trio.move_on_after(_LISTENING):
                await self._tried.wait()
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._wanted = trio.Event()

    def start_over(self) -> None:
        """Connect anew: the store may be on another server now, and the one that we listen to may not know it."""
        if self._life is not None:
            self._life.cancel()

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Listen for ever, whenever there are watchers."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._notify_while_deaf)
            while True:
                await self._wanted.wait()
                pause = 0.0
                try:
                    with trio.CancelScope() as self._life:
                        await self._listen_until_unheard()
                        pause = _AGAIN
                except Exception as error:
                    pause = _DEAF
                    _log.debug("the hints are not heard: %s", error)
                self._tried.set()
                self._proven_until = -inf
                self._hint_channels.notify(ALL_HINTS)
                await trio.sleep(pause)

    async def _listen_until_unheard(self) -> None:
        """Listen until the connection breaks, which is an error, or no proof comes."""
        connection = await self._connect()
        try:
            if not await self._hears(connection):
                self._complain()
                return
            await _listen(connection, self._channel)
            self._proven_until = trio.current_time() + _PROOFS + _DOUBT
            self._tried.set()
            self._hint_channels.notify(ALL_HINTS)  # no hint told us what happened before this moment
            async with trio.open_nursery() as nursery, aclosing(connection.notifies()) as notifications:
                nursery.start_soon(self._prove_again_and_again, nursery.cancel_scope)
                async for notification in notifications:
                    self._take(notification.payload)
        finally:
            connection.drop()

    async def _hears(self, connection: Connection[Any]) -> bool:
        """Try whether notifications arrive on the connection, by a channel that no other process has.

        Behind a pooler, the server goes on sending that channel's messages to the client that has its connection next.
        """
        mine = f"{self._channel}:{self._me}"
        await _listen(connection, mine)
        await self._notify(mine, "")
        async with aclosing(connection.notifies(timeout=_DOUBT, stop_after=1)) as notifications:
            return bool([each async for each in notifications])

    @trio.lowlevel.enable_ki_protection
    async def _prove_again_and_again(self, listening: trio.CancelScope) -> None:
        """Whenever nothing has come for a while, have a message sent and wait for it; end *listening* if none comes."""
        while True:
            await self._wanted.wait()
            await trio.sleep_until(self._proven_until - _DOUBT)
            if trio.current_time() < self._proven_until - _DOUBT:
                continue  # something has come meanwhile
            self._heard = trio.Event()
            with trio.move_on_after(_DOUBT):
                await self._notify(self._channel, message("", Hint(0), self._me))
                await self._heard.wait()
            if not self._heard.is_set():
                self._complain()
                listening.cancel()

    def _take(self, payload: str) -> None:
        self._heard.set()
        self._proven_until = trio.current_time() + _PROOFS + _DOUBT
        bits, _, rest = payload.partition(" ")
        sender, _, queue = rest.partition(" ")
        if sender != self._me:
            self._hint_channels.notify(hint_from(bits), queue)

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            _log.info(
                "notifications don't come through, so the store is asked every %g s. Is there a pooler in transaction "
                "mode?  A URL that leads past it, or to one in session mode, makes jobs start at once",
                _DEAF,
            )

    @trio.lowlevel.enable_ki_protection
    async def _notify_while_deaf(self) -> None:
        """Send hints to all watchers now and then, while nothing proves that hints arrive."""
        while True:
            await self._wanted.wait()
            await trio.sleep_until(self._proven_until)
            if trio.current_time() >= self._proven_until:
                self._hint_channels.notify(ALL_HINTS)
                await trio.sleep(_DEAF)
