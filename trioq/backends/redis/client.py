"""The one file that knows what the extra brings, coredis and MessagePack: an address, and a connection to it.

It takes coredis' connections, and leaves its pool alone: that loses a place for each connection which dies, or whose
user is cancelled, while it is lent out, until none is left.  One connection carries any number of requests at a time.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import trio

from ..._core.errors import BackendError, ExtraMissing
from .scripts import Script

try:
    import msgpack
    from coredis.connection import (
        BaseConnection,
        TCPConnection,
        TCPLocation,
        UnixDomainSocketConnection,
        UnixDomainSocketLocation,
    )
    from coredis.exceptions import MovedError, NoScriptError
except ImportError as error:
    raise ExtraMissing("RedisBackend", "redis") from error

#: Seconds to get a connection, TLS and greeting included.
_CONNECT: Final = 3.0

#: The oldest server that has all commands of the scripts.
_OLDEST: Final = (6, 2)

_PORT: Final = 6379
_PLAIN: Final = frozenset({"redis", "valkey"})
_TLS: Final = frozenset({"rediss", "valkeys"})
_TLS_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})


@attrs.frozen
class Address:
    """Where a server is, and as whom we talk to it."""

    where: str  #: for messages: without the password
    location: TCPLocation | UnixDomainSocketLocation = attrs.field(repr=False)
    options: Mapping[str, Any] = attrs.field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """The address that *url* names; ValueError says what is wrong with it."""
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query))
        options: dict[str, Any] = {
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "db": _database(asked.pop("db", parts.path.strip("/") if parts.scheme != "unix" else ""), url),
        }
        tls = {name: asked.pop(name) for name in _TLS_OPTIONS & asked.keys()}
        if asked or (tls and parts.scheme not in _TLS):
            raise ValueError(f"{_shown(url)} has options that trioq does not know: {', '.join(asked or tls)}")
        if parts.scheme == "unix":
            return cls(_shown(url), UnixDomainSocketLocation(unquote(parts.path)), options)
        if parts.scheme in _TLS:
            options["ssl_context"] = _context(tls)
        elif parts.scheme not in _PLAIN:
            raise ValueError(f"{_shown(url)} is no URL of Redis: it begins with redis://, rediss:// or valkey://")
        return cls(_shown(url), TCPLocation(parts.hostname or "localhost", parts.port or _PORT), options)

    def after(self, error: BaseException) -> Self | None:
        """Where to go, if the error says that the keys are on another server of a cluster."""
        if not isinstance(error, MovedError):
            return None
        # A server that does not know its own name says only the port: it means the host that was asked.
        asked = self.location.host if isinstance(self.location, TCPLocation) else "localhost"
        return attrs.evolve(self, location=TCPLocation(error.host or asked, error.port))


def _shown(url: str) -> str:
    """The URL without what is nobody's business."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _database(number: str, url: str) -> int:
    if number and not number.isdecimal():
        hint = "" if "//" in url else ". The host stands between two slashes and one: redis://HOST/NUMBER"
        raise ValueError(f"{_shown(url)}: the database is a number, not {number!r}{hint}")
    return int(number or 0)


def _context(options: Mapping[str, str]) -> ssl.SSLContext:
    """TLS that proves who the server is, unless the URL asks for less."""
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    proof = options.get("ssl_cert_reqs", "required")
    if options.get("ssl_check_hostname", "true").lower() in ("false", "0", "no") or proof == "none":
        context.check_hostname = False
    if proof == "none":
        context.verify_mode = ssl.CERT_NONE
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context


class Link:
    """A connection.  It lives in the nursery that opened it, and never in the task of a user, who may be cancelled."""

    def __init__(self, connection: BaseConnection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, address: Address, nursery: trio.Nursery) -> Self:
        """Connect, within 3 s."""
        kind = TCPConnection if isinstance(address.location, TCPLocation) else UnixDomainSocketConnection
        connection = cast("Any", kind)(address.location, **address.options)
        with trio.move_on_after(_CONNECT) as connecting:
            await nursery.start(_run, connection)
        if connecting.cancelled_caught:
            raise TimeoutError(f"no connection within {_CONNECT:g} s")
        link = cls(connection)
        version = connection.server_version or ""
        if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < _OLDEST:
            link.close()
            raise BackendError(f"{address.where} is a Redis {version}: trioq needs 6.2 or later, or Valkey")
        return link

    @property
    def usable(self) -> bool:
        """Whether it still stands, as far as anybody has noticed."""
        return bool(self._connection.usable)

    def close(self) -> None:
        """Give it up: whatever waits for an answer hears that it broke."""
        self._connection.invalidate()

    async def ask(self, command: bytes, *args: bytes | str | int) -> Any:
        """The server's answer to a command."""
        return await self._connection.create_request(command, *args)

    async def run(self, script: Script, keys: Sequence[bytes], header: Sequence[bytes], args: Sequence[Any]) -> Any:
        """The answer of a script.  A server that has forgotten its text is sent it.

        One string goes there and one comes back: coredis and the server take longer over an argument than its bytes.
        """
        given = (len(keys), *keys, *header, msgpack.packb(args, use_bin_type=False))
        try:
            reply = await self._connection.create_request(b"EVALSHA", script.sha, *given)
        except NoScriptError:
            reply = await self._connection.create_request(b"EVAL", script.text, *given)
        return msgpack.unpackb(reply, raw=True)

    def say(self, command: bytes, *args: bytes | str) -> None:
        """A command that is answered by pushes: SUBSCRIBE and its like."""
        self._connection.send_command(command, *args)

    def pushes(self) -> AsyncIterator[Any]:
        """What the server says unasked, until the connection breaks."""
        return cast("AsyncIterator[Any]", self._connection.push_messages)


class _Status:
    """Passes on that a connection stands, and remembers it."""

    def __init__(self, status: trio.TaskStatus[None]) -> None:
        self._status = status
        self.stands = False

    def started(self, value: None = None) -> None:
        """The greeting is over."""
        self.stands = True
        self._status.started(value)


async def _run(  # noqa: ASYNC128  coredis tells it, through `_Status`
    connection: BaseConnection, task_status: trio.TaskStatus[None]
) -> None:
    """Keep a connection going.  What ends it, those hear who wait for an answer."""
    status = _Status(task_status)
    try:
        await connection.run(task_status=cast("Any", status))
    except Exception:
        if not status.stands:
            raise
    finally:
        # Where it could not connect, coredis leaves its channels open, and each complains when it is collected.
        for part in vars(connection).values():
            if type(part).__name__.startswith("MemoryObject"):
                part.close()
