"""A proxy between a program and a server, for what goes wrong there without a word to either of them."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import trio
from trio_util import AsyncValue

from tests.servers import Server

Stream = trio.SocketStream

#: On closing it, a socket says at once that it is no more, and sends nothing of what it had still to send.
_RESET = struct.pack("ii", 1, 0)


def none(listens: bool) -> bool:
    """Hold up no connection."""
    return False


def ears(listens: bool) -> bool:
    """Hold up those that listen for hints."""
    return listens


def all_of_them(listens: bool) -> bool:
    """Hold up each."""
    return True


class Proxy:
    """Passes on what is said, until it is told to hold it up: then it takes it, and connections, and says nothing."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server  #: where new connections lead
        self.url = f"redis://ann:pw@127.0.0.1:{port}"
        self._held = AsyncValue[Callable[[bool], bool]](none)
        self._breaks = False
        self._clients: set[Stream] = set()

    def hold(self, which: Callable[[bool], bool]) -> None:
        """Hold up these connections from now on: `ears`, `all_of_them`, or again `none`."""
        self._held.value = which

    def break_all(self) -> None:
        """Reset all connections, as a router does that has forgotten them, and each new one until `mend`."""
        self._breaks = True
        for client in self._clients:
            _reset(client)

    def mend(self) -> None:
        """Let new connections live."""
        self._breaks = False

    async def serve(self, client: Stream) -> None:
        """One connection."""
        if self._breaks:
            _reset(client)
            return
        self._clients.add(client)
        with suppress(OSError):
            async with client, await trio.open_tcp_stream("127.0.0.1", self.server.port) as server:
                with suppress(BaseExceptionGroup):
                    async with trio.open_nursery() as both:
                        listens = AsyncValue(False)
                        both.start_soon(self._pump, client, server, listens, both)
                        both.start_soon(self._pump, server, client, listens, both)
        self._clients.discard(client)

    async def _pump(self, source: Stream, sink: Stream, listens: AsyncValue[bool], both: trio.Nursery) -> None:
        while data := await source.receive_some():
            listens.value = listens.value or b"SUBSCRIBE" in data
            await self._held.wait_value(lambda holds: not holds(listens.value))
            await sink.send_all(data)
        both.cancel_scope.cancel()


def _reset(client: Stream) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.socket.close()


def introduce(server: Server) -> None:
    """Make ann known to the server; a restart forgets her."""
    server.command("ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all")


@asynccontextmanager
async def proxy_before(server: Server) -> AsyncIterator[Proxy]:
    """A proxy before *server*, for as long as the block runs; it says that it is the user ann."""
    introduce(server)
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy = Proxy(server, listener.socket.getsockname()[1])
        await nursery.start(trio.serve_listeners, proxy.serve, [listener])
        yield proxy
        nursery.cancel_scope.cancel()
