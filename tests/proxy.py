"""A proxy before a server, for what a network does without a word: latency, resets, silence, answers that break off.

It knows no server's protocol, but for the words with which a client begins to listen.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

import trio
from trio_util import AsyncValue

#: On closing it, a socket says at once that it is no more, and sends nothing of what it had still to send.
_RESET: Final = struct.pack("ii", 1, 0)

#: What a client says that is going to listen, and not to ask.
_LISTENING: Final = (b"SUBSCRIBE", b"LISTEN ")


class Reachable(Protocol):
    """A server on loopback."""

    @property
    def port(self) -> int | None: ...


def none(listens: bool) -> bool:
    """Hold up no connection."""
    return False


def listeners(listens: bool) -> bool:
    """Hold up those that listen for hints."""
    return listens


def all_of_them(listens: bool) -> bool:
    """Hold up each."""
    return True


class Proxy:
    """Passes on what is said, and does it badly when it is told to."""

    def __init__(self, server: Reachable, port: int) -> None:
        self.server = server  #: where new connections lead
        self.port = port
        self.delay = 0.0  #: seconds that each piece is on its way, in each direction
        self.breaks_off = 0.0  #: the share of answers of which half arrives, and then the connection is reset
        self._held = AsyncValue[Callable[[bool], bool]](none)
        self._broken = False
        self._clients: dict[trio.SocketStream, trio.CancelScope] = {}

    def hold(self, which: Callable[[bool], bool]) -> None:
        """Take what these connections say, and pass nothing on: `listeners`, `all_of_them`, or again `none`."""
        self._held.value = which

    def reset_all(self) -> None:
        """Reset all connections, as a router does that has forgotten them; what is held up is lost.

        New ones are welcome.
        """
        for client, connection in self._clients.items():
            _reset(client)
            connection.cancel()

    def break_all(self) -> None:
        """Reset all connections, and each new one until `mend`."""
        self._broken = True
        self.reset_all()

    def mend(self) -> None:
        """Let new connections live."""
        self._broken = False

    async def serve(self, client: trio.SocketStream) -> None:
        """One connection."""
        if self._broken:
            _reset(client)
            return
        with suppress(OSError), trio.CancelScope() as connection:
            self._clients[client] = connection
            try:
                async with client, await trio.open_tcp_stream("127.0.0.1", self.server.port or 0) as server:
                    with suppress(BaseExceptionGroup):
                        await self._pass_on(client, server)
            finally:
                del self._clients[client]

    async def _pass_on(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        listens = AsyncValue(False)

        async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
            while data := await source.receive_some():
                listens.value = listens.value or any(word in data for word in _LISTENING)
                await trio.sleep(self.delay)
                await self._held.wait_value(lambda holds: not holds(listens.value))
                if source is server and random.random() < self.breaks_off:
                    await sink.send_all(data[: len(data) // 2])
                    _reset(client)
                    break
                await sink.send_all(data)
            both.cancel_scope.cancel()

        async with trio.open_nursery() as both:
            both.start_soon(pump, client, server)
            both.start_soon(pump, server, client)


def _reset(client: trio.SocketStream) -> None:
    with suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        client.socket.close()


@asynccontextmanager
async def proxy_before(server: Reachable) -> AsyncIterator[Proxy]:
    """A proxy before *server*, for as long as the block runs."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy = Proxy(server, listener.socket.getsockname()[1])
        await nursery.start(trio.serve_listeners, proxy.serve, [listener])
        yield proxy
        nursery.cancel_scope.cancel()
