"""A pooler in transaction mode for the tests: what PgBouncer does to connections, and nothing else that it does.

A client has a connection of the server's from the first message of a transaction to its end, and another one for the
next.  What it sets or prepares stays behind on them, and a notification comes to the client that just then has the
connection.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Final

import attrs
import trio

from tests.postgres_server import PostgresServer

_STARTUP: Final = 196_608  #: version 3.0 of the protocol
_CANCEL: Final = 80_877_102

#: What the server says when it can be asked, and nothing is left open.
_AT_REST: Final = b"Z\0\0\0\5I"

_NAMES: Final = b"user\0postgres\0database\0postgres\0application_name\0pooler\0\0"


class _Messages:
    """What one end sends, a message at a time: a type byte, the length of the rest, the rest."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._received = b""

    async def _look_at(self, size: int) -> bytes:
        """The next bytes, which stay there: a cancelled caller has taken nothing."""
        while len(self._received) < size:
            data = await self._stream.receive_some()
            if not data:
                raise EOFError
            self._received += data
        return self._received[:size]

    async def _take(self, size: int) -> bytes:
        message = await self._look_at(size)
        self._received = self._received[size:]
        return message

    async def peek(self) -> bytes:
        """The next one, which stays there."""
        [size] = struct.unpack("!xi", await self._look_at(5))
        return await self._look_at(1 + size)

    async def next(self) -> bytes:
        """The next one."""
        return await self._take(len(await self.peek()))

    async def opening(self) -> tuple[int, bytes]:
        """What a client says first: which request it is, and the rest of it.  A client that wants TLS is told no."""
        while True:
            size, request = struct.unpack("!ii", await self._take(8))
            rest = await self._take(size - 8)
            if request in {_STARTUP, _CANCEL}:
                return request, rest
            await self._stream.send_all(b"N")


@attrs.define(eq=False)
class _Lent:
    """A connection to the server, which outlives its clients."""

    stream: trio.SocketStream
    messages: _Messages
    settings: bytes = b""  #: as the server tells them
    key: bytes = b""  #: what cancels a query on it


class Pooler:
    """Lends up to *size* connections to any number of clients, each in turn."""

    def __init__(self, server: PostgresServer, url: str, size: int) -> None:
        self.url = url
        self._server = server
        self._missing = size
        self._idle: deque[_Lent] = deque()
        self._places = trio.Semaphore(size)
        self._numbers = count(1)
        self._lent: dict[bytes, _Lent] = {}  #: by the key of the client that has it

    async def serve(self, client: trio.SocketStream) -> None:
        """One client."""
        with suppress(EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with client:
                messages = _Messages(client)
                request, rest = await messages.opening()
                if request == _CANCEL:
                    await self._cancel(rest)
                    return
                key = struct.pack("!ii", -next(self._numbers), 0)  # no process has such a number
                settings = await self._settings()
                await client.send_all(b"R\0\0\0\x08\0\0\0\0" + settings + b"K\0\0\0\x0c" + key + _AT_REST)
                while (await messages.peek())[:1] != b"X":
                    await self._lend(client, messages, key)

    async def _lend(self, client: trio.SocketStream, messages: _Messages, key: bytes) -> None:
        """Lend a connection until the transaction that begins with the next message is over."""
        await self._places.acquire()
        try:
            lent = self._lent[key] = await self._next()
            try:
                await _run_transaction(client, messages, lent)
                self._idle.append(lent)
            except BaseException:
                await trio.aclose_forcefully(lent.stream)  # no other client is to have what was left open
                self._missing += 1
                raise
            finally:
                del self._lent[key]
        finally:
            self._places.release()

    async def _next(self) -> _Lent:
        """A new one while there may be more; then the one that has rested longest."""
        if not self._missing:
            return self._idle.popleft()
        self._missing -= 1
        return await self._connect()

    async def _connect(self) -> _Lent:
        stream = await trio.open_tcp_stream("127.0.0.1", self._server.port)
        await stream.send_all(struct.pack("!ii", 8 + len(_NAMES), _STARTUP) + _NAMES)
        lent = _Lent(stream, _Messages(stream))
        while (message := await lent.messages.next()) != _AT_REST:
            if message[:1] == b"S":
                lent.settings += message
            if message[:1] == b"K":
                lent.key = message[5:]
        return lent

    def close(self) -> None:
        """Serve no client any more."""
        while self._idle:
            self._idle.pop().stream.socket.close()

    async def _settings(self) -> bytes:
        lent = await self._connect()
        await lent.stream.aclose()
        return lent.settings

    async def _cancel(self, key: bytes) -> None:
        if key in self._lent:
            async with await trio.open_tcp_stream("127.0.0.1", self._server.port) as stream:
                await stream.send_all(struct.pack("!ii", 8 + len(key), _CANCEL) + self._lent[key].key)


async def _run_transaction(client: trio.SocketStream, messages: _Messages, lent: _Lent) -> None:
    """Pass on what the two say, until the server has answered all and no transaction is open; EOFError for less."""
    asked, over = 0, False

    async def pass_on() -> None:
        nonlocal asked
        while True:
            await messages.peek()
            if over:
                return  # it begins another one
            message = await messages.next()
            asked += message[:1] in {b"Q", b"S"}  # each of these is answered by a Z
            await lent.stream.send_all(message)

    async def answer() -> None:
        nonlocal asked, over
        while not over:
            message = await lent.messages.next()
            asked -= message[:1] == b"Z"
            over = message == _AT_REST and not asked  # before the client receives it, and goes on
            await client.send_all(message)

    async def until_its_end(way: Callable[[], Awaitable[None]]) -> None:
        with suppress(EOFError, trio.BrokenResourceError):
            await way()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_its_end, pass_on)
        nursery.start_soon(until_its_end, answer)
    if not over:
        raise EOFError


@asynccontextmanager
async def pooler_before(server: PostgresServer, size: int = 3) -> AsyncIterator[Pooler]:
    """A pooler before *server*, for as long as the block runs."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        pooler = Pooler(server, f"postgresql://postgres@127.0.0.1:{port}/postgres", size)
        await nursery.start(trio.serve_listeners, pooler.serve, [listener])
        yield pooler
        nursery.cancel_scope.cancel()
    pooler.close()
