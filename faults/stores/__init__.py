"""The stores that experiments break.  A new one is a file here, and a line below."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from trioq.abc import Backend

from . import postgres, redis, sqlite
from .store import Store

#: Name -> what starts a store of that kind, with nothing in it.
STORES: Final[dict[str, Callable[[], Store]]] = {
    "sqlite": sqlite.Files,
    "redis": redis.OwnServer,
    "redis, appendfsync everysec": partial(redis.OwnServer, "everysec"),
    "redis, appendfsync always": partial(redis.OwnServer, "always"),
    "postgresql": postgres.OwnServer,
    "postgresql, synchronous_commit off": partial(postgres.OwnServer, "off"),
}

#: Those that every experiment that breaks only processes is run on.
EVERY: Final = ("sqlite", "redis", "postgresql")

#: Those that are reached over a network.
SERVERS: Final = ("redis", "postgresql")

#: Those of them that must have all that they have answered after a crash.
DURABLE: Final = ("redis, appendfsync always", "postgresql")

_OPENERS: Final[dict[str, Callable[..., Backend]]] = {
    "sqlite": sqlite.open_backend,
    "redis": redis.open_backend,
    "postgresql": postgres.open_backend,
}


def open_address(address: list[str]) -> Backend:
    """The backend that a process is told to use: the kind of store, and what that kind needs to know."""
    kind, *where = address
    return _OPENERS[kind](*where)
