"""The server that a URL names: how to connect to it, and how to name it in a message, without its password."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

import attrs
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from .connection import Connection

#: libpq's parameters for our connections, where the URL doesn't say otherwise.  A connection that has died without an
#: error is noticed within seconds, and the server can say whose they are.  Names come as text whatever the encoding of
#: the database, or of this user, is: with SQL_ASCII, which is none, psycopg would take them for bytes.
OPTIONS: Final = {
    "connect_timeout": 3,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,  # milliseconds
    "fallback_application_name": "trioq",
    "client_encoding": "UTF8",
}


@attrs.frozen
class Address:
    """The parameters of libpq."""

    params: dict[str, Any] = attrs.field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Return the address of a URL, or of whatever else libpq takes; raise ValueError for what it does not."""
        try:
            return cls({**OPTIONS, **conninfo_to_dict(url)})
        except ProgrammingError as error:
            raise ValueError(f"no URL of a PostgreSQL server: {_without_secrets(str(error), url)}") from None

    @property
    def where(self) -> str:
        """A URL to show, and to type: with the password, it leads to the same database."""
        user, host, port, name = (str(self.params.get(key, "")) for key in ("user", "host", "port", "dbname"))
        at = f"{quote(user, '')}@" if user else ""
        database = quote(name, "")
        if "/" in host:  # the folder of a socket
            return f"postgresql://{at}{port and ':'}{port}/{database}?host={quote(host, '/,')}"
        return f"postgresql://{at}{_places(host, port)}/{database}"

    async def open(self) -> Connection[Any]:
        """Open a connection, in autocommit."""
        return await Connection.connect(autocommit=True, **self.params)


def _places(host: str, port: str) -> str:
    """Return each host with its port; one port may be for all."""
    hosts, ports = host.split(","), port.split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    shown = [f"[{name}]" if ":" in name else name for name in hosts]
    return ",".join(f"{name}:{number}" if number else name for name, number in zip(shown, ports, strict=False))


def _without_secrets(told: str, url: str) -> str:
    """Return what libpq says, unless it quotes what stands before the host: a password may be in it."""
    secrets = url.partition("://")[2].rpartition("@")[0]
    quoted = re.findall(r'"(.+?)"', told)
    if secrets and any(words in secrets or secrets in words for words in quoted):
        return "what stands before its @ can't be read. Write signs other than letters and digits as %XX"
    return told.strip()
