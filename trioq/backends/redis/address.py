"""The server that a URL names: how to connect to it, and how to name it in a message, without its password."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import trio

_PORT: Final = 6379
_PLAIN: Final = frozenset({"redis", "valkey"})
_TLS: Final = frozenset({"rediss", "valkeys"})
_TLS_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})


@attrs.frozen
class Address:
    """Where a server is, and the user that we log in as."""

    where: str  #: for messages: without the password
    place: tuple[str, int] | str = attrs.field(repr=False)  #: host and port, or the path of a socket
    user: str | None = attrs.field(repr=False)
    password: str | None = attrs.field(repr=False)
    database: int = attrs.field(repr=False)
    tls: ssl.SSLContext | None = attrs.field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address that *url* names; a ValueError says what is wrong with it."""
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query))
        path = unquote(parts.path)
        database = _database(asked.pop("db", path.strip("/") if parts.scheme != "unix" else ""), url)
        tls = {name: asked.pop(name) for name in _TLS_OPTIONS & asked.keys()}
        if asked or (tls and parts.scheme not in _TLS):
            raise ValueError(f"{_shown(url)} has options that trioq does not know: {', '.join(asked or tls)}")
        if parts.scheme not in _PLAIN | _TLS | {"unix"}:
            raise ValueError(f"{_shown(url)} is no URL of Redis: it begins with redis://, rediss:// or valkey://")
        return cls(
            where=_shown(url),
            place=path if parts.scheme == "unix" else (parts.hostname or "localhost", parts.port or _PORT),
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            database=database,
            tls=_context(tls) if parts.scheme in _TLS else None,
        )

    def at(self, host: str, port: int) -> Self:
        """Return the same on another server of a cluster; without *host*, on the one that was asked."""
        asked = "localhost" if isinstance(self.place, str) else self.place[0]
        return attrs.evolve(self, place=(host or asked, port))

    async def connect(self) -> trio.abc.Stream:
        """Open a stream to the server, which has proved who it is where the URL asks for that."""
        if isinstance(self.place, str):
            return await trio.open_unix_socket(self.place)
        host, port = self.place
        stream = await trio.open_tcp_stream(host, port)
        if self.tls is None:
            return stream
        secured = trio.SSLStream(stream, self.tls, server_hostname=host)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured


def _shown(url: str) -> str:
    """Return the URL without user, password and options, which are private."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _database(number: str, url: str) -> int:
    if number and not number.isdecimal():
        hint = "" if "//" in url else ". The host stands between two slashes and one: redis://HOST/NUMBER"
        raise ValueError(f"{_shown(url)}: the database is a number, not {number!r}{hint}")
    return int(number or 0)


def _context(options: Mapping[str, str]) -> ssl.SSLContext:
    """Make a TLS context that has the server prove who it is, unless the URL asks for less."""
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    proof = options.get("ssl_cert_reqs", "required")
    if options.get("ssl_check_hostname", "true").lower() in ("false", "0", "no") or proof == "none":
        context.check_hostname = False
    if proof == "none":
        context.verify_mode = ssl.CERT_NONE
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
