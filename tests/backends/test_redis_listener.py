"""What Redis's listener does when, in virtual time, over links that lead to no server."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

from trioq.backends._hints import ALL_HINTS, HintChannels
from trioq.backends.redis import listener as module
from trioq.backends.redis.client import OnMessage
from trioq.backends.redis.listener import Listener


class Link:
    """One whose server answers at once."""

    def __init__(self, on_message: OnMessage) -> None:
        self._on_message = on_message
        self._closed = trio.Event()

    def say(self, command: bytes, *channels: bytes) -> None:
        for channel in channels:
            self._on_message([command.lower(), channel, 1])

    async def ask(self, *_: bytes) -> Any:
        await trio.lowlevel.checkpoint()
        if self._closed.is_set():
            raise ConnectionError("the connection was lost")

    async def broken(self) -> None:
        await self._closed.wait()

    def close(self) -> None:
        self._closed.set()


async def test_a_connection_that_breaks_wakes_every_watcher_at_once_and_is_made_anew(autojump_clock: MockClock) -> None:
    links: list[Link] = []

    async def connect(_: trio.Nursery, on_message: OnMessage) -> Link:
        links.append(Link(on_message))
        return links[-1]

    channels = HintChannels()
    listener = Listener(connect, channels, b"me")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        async with channels.watch(["q"]) as hints, listener.listening({"c": (ALL_HINTS, "q")}):
            await hints.receive()
            await trio.sleep(module._PROOFS * 1.1)
            began = trio.current_time()
            links[0].close()  # between two pings
            assert await hints.receive() == ALL_HINTS
            assert trio.current_time() == began
            await trio.sleep(module._DEAF * 1.1)
            assert len(links) == 2
        nursery.cancel_scope.cancel()
