"""A connection to a server; the one file that knows what the extra brings, MessagePack and coredis.

Of coredis it takes the parser of a server's replies, and the errors.  Connections of coredis need two tasks and five
turns of the event loop for a request.  The pool loses a place for each connection that dies while it is lent out.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Self

import attrs
import trio

from ..._core.errors import BackendError, ExtraMissing
from .address import Address
from .scripts import Script

try:
    import msgpack
    from coredis.constants.resp import DataType
    from coredis.exceptions import MovedError, NoScriptError, ProtocolError, UnknownCommandError
    from coredis.parser import NotEnoughData, Parser
except ImportError as error:
    raise ExtraMissing("RedisBackend", "redis") from error

#: Seconds to get a connection, TLS and greeting included.
_CONNECT: Final = 3.0

#: The oldest server that has all commands of the scripts.
_OLDEST: Final = (6, 2)

#: Receives what a server sends unasked.
OnMessage = Callable[[Any], None]


@attrs.define(eq=False)
class _Answer:
    """A server's answer to a request, or why none will come."""

    said: Any = None
    lost: BaseException | None = None
    asked_at: float = attrs.field(init=False, factory=trio.current_time)
    came: trio.Event = attrs.field(init=False, factory=trio.Event)


class Link:
    """A connection.  Any number of tasks may send requests at a time, and are answered in turn.

    It lives in the nursery that opened it, and never in the task of a caller, who may be cancelled.  *hear* receives
    what the server sends unasked, as it comes; an error of *hear* ends the connection.
    """

    def __init__(self, address: Address, stream: trio.abc.Stream, nursery: trio.Nursery, on_message: OnMessage) -> None:
        self._address = address
        self._stream, self._socket = _with_its_socket(stream)
        self._nursery = nursery
        self._parser = Parser()
        self._unsent = bytearray()
        self._sending = False
        self._awaited: deque[_Answer] = deque()
        self._hear = on_message
        self._life = trio.CancelScope()
        self._lost: BaseException | None = None
        self._broken = trio.Event()  #: set once it is lost

    @classmethod
    async def open(cls, address: Address, nursery: trio.Nursery, on_message: OnMessage = lambda _: None) -> Self:
        """Connect, within 3 s."""
        with trio.move_on_after(_CONNECT):
            link = cls(address, await address.connect(), nursery, on_message)
            nursery.start_soon(link._listen)
            try:
                await link._greet()
            except BaseException:
                link.close()
                raise
            return link
        raise TimeoutError(f"no connection within {_CONNECT:g} s")

    async def _greet(self) -> None:
        """Log in, and learn which server it is."""
        address = self._address
        named = address.user or address.password
        known = (b"AUTH", (address.user or "default").encode(), (address.password or "").encode()) if named else ()
        try:
            told = await self.ask(b"HELLO", b"3", *known)
        except (UnknownCommandError, ProtocolError):  # it speaks no RESP3
            told = {}
        version = told.get(b"version", b"before 6").decode()
        if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < _OLDEST:
            raise BackendError(f"{address.where} is a Redis {version}: trioq needs 6.2 or later, or Valkey")
        if address.database:
            await self.ask(b"SELECT", b"%d" % address.database)

    @property
    def usable(self) -> bool:
        """Whether it is open: no loss was noticed yet."""
        return self._lost is None

    @property
    def silence(self) -> float:
        """Seconds for which the oldest request has waited for its answer."""
        return trio.current_time() - self._awaited[0].asked_at if self._awaited else 0.0

    async def broken(self) -> BaseException | None:
        """Wait until it breaks, and return why."""
        await self._broken.wait()
        return self._lost

    def close(self) -> None:
        """Give it up: each request that waits for an answer gets an error."""
        self._lose(trio.ClosedResourceError("it was given up"))

    def elsewhere(self, error: BaseException) -> Address | None:
        """Return where to go, if the error says that the keys are on another server of a cluster."""
        return self._address.at(error.host, error.port) if isinstance(error, MovedError) else None

    # -- requests --

    async def ask(self, *words: bytes) -> Any:
        """Send a command, and return the server's answer."""
        self._write(words)
        answer = _Answer()
        self._awaited.append(answer)
        await answer.came.wait()
        if answer.lost is not None:
            raise ConnectionError("the connection was lost before an answer came") from answer.lost
        if isinstance(answer.said, Exception):
            raise answer.said
        return answer.said

    async def run(self, script: Script, keys: Sequence[bytes], header: Sequence[bytes], args: Sequence[Any]) -> Any:
        """Run a script, and return its answer.  A server that has forgotten the script's text is sent it.

        The arguments are one string, and so is the answer: a server takes longer over an argument than over its bytes.
        """
        given = (b"%d" % len(keys), *keys, *header, msgpack.packb(args, use_bin_type=False))
        try:
            reply = await self.ask(b"EVALSHA", script.sha, *given)
        except NoScriptError:
            reply = await self.ask(b"EVAL", script.text, *given)
        return msgpack.unpackb(reply, raw=True)

    def say(self, *words: bytes) -> None:
        """Send a command that is answered by pushes: SUBSCRIBE and its like."""
        self._write(words)

    # -- the stream --

    @trio.lowlevel.enable_ki_protection
    def _write(self, words: Sequence[bytes]) -> None:
        """Send the command at once, so that the server is at work while we go on; a task sends what doesn't fit."""
        if self._lost is not None:
            raise ConnectionError("the connection was lost") from self._lost
        self._unsent += b"*%d\r\n" % len(words)
        for word in words:
            self._unsent += b"$%d\r\n%b\r\n" % (len(word), word)
        if self._sending:
            return
        if self._socket is not None:
            with suppress(OSError):  # it is full; or it broke, which the task will find as well
                del self._unsent[: self._socket.send(self._unsent)]
        if self._unsent:
            self._sending = True
            self._nursery.start_soon(self._send)

    @trio.lowlevel.enable_ki_protection
    async def _send(self) -> None:
        """Send what gathers, until nothing is left.  A caller that leaves does not interrupt it."""
        try:
            while self._unsent:
                data, self._unsent = self._unsent, bytearray()
                await self._stream.send_all(data)
            self._sending = False
        except Exception as error:
            self._lose(error)

    @trio.lowlevel.enable_ki_protection
    async def _listen(self) -> None:
        """Pass on what the server sends.  Each request that waits for an answer gets the error that ends this."""
        with self._life:
            try:
                async for data in self._stream:
                    self._parser.feed(bytes(data))
                    while not isinstance(parsed := self._parser.parse(), NotEnoughData):
                        self._take(*parsed)
                self._lose(EOFError("the server closed it"))
            except Exception as error:
                self._lose(error)
            finally:
                self.close()
                await trio.aclose_forcefully(self._stream)

    def _take(self, kind: DataType, said: Any) -> None:
        if kind is DataType.PUSH:
            self._hear(said)
            return
        if not self._awaited:
            raise ConnectionError(f"the server sent a reply that no request asked for: {said!r:.200}")
        answer = self._awaited.popleft()
        answer.said = said
        answer.came.set()

    def _lose(self, error: BaseException) -> None:
        """Note that the connection is lost, and why; the first reason counts."""
        self._lost = self._lost or error
        self._life.cancel()
        self._broken.set()
        while self._awaited:
            answer = self._awaited.popleft()
            answer.lost = self._lost
            answer.came.set()


def _with_its_socket(stream: trio.abc.Stream) -> tuple[trio.abc.Stream, socket.socket | None]:
    """Return the stream, and the socket where no TLS is above it: it can send without a turn of the event loop."""
    if not isinstance(stream, trio.SocketStream):
        return stream, None
    own = socket.socket(fileno=stream.socket.detach())
    return trio.SocketStream(trio.socket.from_stdlib_socket(own)), own
