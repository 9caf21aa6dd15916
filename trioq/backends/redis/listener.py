"""Receives the hints that other processes publish.  No caller relies on them: a missed hint only costs time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any, Final

import trio

from .._hints import ALL_HINTS, HintChannels, hint_from

if TYPE_CHECKING:
    from .._base import Hint
    from .client import Link, OnMessage

_log: Final = logging.getLogger("trioq.redis")

#: Seconds between two proofs that hints arrive, and seconds that each may take; after that the watchers must look
#: themselves.  The sum leaves a quarter of a second to start a job within one, if all hints get lost without an error.
_PROOFS: Final = 0.5
_DOUBT: Final = 0.25

#: Seconds between two hints to all watchers, and between two tries to connect, while nothing proves that hints arrive.
_DEAF: Final = 0.5

#: Seconds after which a server that gives no proof is taken for gone.
_SILENCE: Final = 5.0

#: Seconds to wait for a channel, before going on without.
_SUBSCRIBING: Final = 1.0


class Listener:
    """Listens on one connection while there are watchers in this process.

    It has a link of its own: pushes and replies on one connection would wait for each other.  *me* marks what this
    process has published itself: its own watchers have received that already.

    A connection that neither side has closed can be dead for hours, and a worker that trusts it sleeps.  So the server
    must prove twice a second that it is there.  While it does not, all watchers are sent hints, so that they look
    themselves.
    """

    def __init__(
        self,
        connect: Callable[[trio.Nursery, OnMessage], Awaitable[Link]],
        hint_channels: HintChannels,
        me: bytes,
    ) -> None:
        self._connect = connect
        self._hint_channels = hint_channels
        self._me = me
        self._watched: Counter[str] = Counter()
        self._about: dict[str, tuple[Hint, str]] = {}  #: channel -> the hints that come there, and their queue
        self._heard: dict[str, trio.Event] = {}  #: channel -> set once it is subscribed
        self._link: Link | None = None
        self._wanted = trio.Event()  #: set while there are watchers
        self._asked = trio.Event()  #: set when a command was sent whose effect is to be checked
        self._proven_until = -inf  #: until then, by Trio's clock, hints are known to arrive

    @asynccontextmanager
    async def listening(self, channels: Mapping[str, tuple[Hint, str]]) -> AsyncIterator[None]:
        """Listen to these channels for as long as the block runs; each has its hints about a queue."""
        for channel, about in channels.items():
            self._watch(channel, about)
        try:
            with trio.move_on_after(_SUBSCRIBING):
                for channel in channels:
                    await self._heard[channel].wait()
            yield
        finally:
            for channel in channels:
                self._unwatch(channel)

    def _watch(self, channel: str, about: tuple[Hint, str]) -> None:
        self._watched[channel] += 1
        if self._watched[channel] > 1:
            return
        self._about[channel] = about
        self._heard[channel] = trio.Event()
        if not self._wanted.is_set():
            self._wanted.set()
            self._proven_until = trio.current_time() + _DOUBT
        if self._link is not None:
            self._say(b"SUBSCRIBE", channel)

    def _unwatch(self, channel: str) -> None:
        self._watched[channel] -= 1
        if self._watched[channel]:
            return
        del self._watched[channel]
        del self._about[channel]
        self._heard.pop(channel).set()  # no proof is to wait for it any more
        if not self._watched:
            self._wanted = trio.Event()
        if self._link is not None:
            self._say(b"UNSUBSCRIBE", channel)

    def _say(self, command: bytes, *channels: str) -> None:
        try:
            assert self._link is not None
            self._link.say(command, *(channel.encode() for channel in channels))
            self._asked.set()
        except Exception as error:
            _log.debug("cannot %s: %s", command.decode(), error)

    def start_over(self) -> None:
        """Connect anew: the store may be on another server now, and the one that we listen to may not know it."""
        if self._link is not None:
            self._link.close()

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Listen for ever, whenever there are watchers."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._notify_while_deaf)
            while True:
                await self._wanted.wait()
                try:
                    await self._listen()
                except Exception as error:
                    _log.debug("the hints are not heard: %s", error)
                finally:
                    self._link = None
                self._hint_channels.notify(ALL_HINTS)
                await trio.sleep(_DEAF)

    async def _listen(self) -> None:
        async with trio.open_nursery() as nursery:
            self._link = await self._connect(nursery, self._take)
            nursery.start_soon(self._ask_for_proofs, self._link)
            self._subscribe_all()
            _log.debug("the hints are not heard: %s", await self._link.broken())
            nursery.cancel_scope.cancel()

    @trio.lowlevel.enable_ki_protection
    async def _notify_while_deaf(self) -> None:
        """Send hints to all watchers now and then, while nothing proves that hints arrive."""
        while True:
            await self._wanted.wait()
            await trio.sleep_until(self._proven_until)
            if trio.current_time() >= self._proven_until:
                self._hint_channels.notify(ALL_HINTS)
                await trio.sleep(_DEAF)

    def _subscribe_all(self) -> None:
        for channel, heard in self._heard.items():
            if heard.is_set():  # by the connection before; a task that waits for one that isn't set waits on
                self._heard[channel] = trio.Event()
        if self._heard:
            self._say(b"SUBSCRIBE", *self._heard)

    @trio.lowlevel.enable_ki_protection
    async def _ask_for_proofs(self, link: Link) -> None:
        """Ask again and again whether the server is there, and has let us listen to all channels.

        It asks at once after a subscription: where the server refuses that, the refusal comes back for the ping.
        """
        while True:
            await self._wanted.wait()
            self._asked = trio.Event()
            with trio.fail_after(_SILENCE):
                await link.ask(b"PING")
                for heard in list(self._heard.values()):
                    await heard.wait()
            self._proven_until = trio.current_time() + _PROOFS + _DOUBT
            with trio.move_on_after(_PROOFS):
                await self._asked.wait()

    def _take(self, push: Any) -> None:
        kind, name, *rest = push
        channel = name.decode()
        if channel not in self._about:
            return
        hints, queue = self._about[channel]
        if kind == b"subscribe":
            self._heard[channel].set()
            self._hint_channels.notify(hints, queue)  # no hint told us what happened before this moment
        elif kind == b"message":
            bits, _, sender = rest[0].partition(b" ")
            if sender != self._me:
                self._hint_channels.notify(hint_from(bits), queue)
