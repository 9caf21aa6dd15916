"""The stores that experiments break.  A new one is a file here, and a line below."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from trioq.abc import Backend

from . import postgres, redis, sqlite
from .disk import Disk, on_small_disk
from .store import Store

#: Name -> what starts a store of that kind, with nothing in it.
STORES: Final[dict[str, Callable[[], Store]]] = {
    "sqlite": sqlite.Files,
    "redis": redis.OwnServer,
    "redis, appendfsync everysec": partial(redis.OwnServer, "everysec"),
    "redis, appendfsync always": partial(redis.OwnServer, "always"),
    "postgresql": postgres.OwnServer,
    "postgresql, synchronous_commit off": partial(postgres.OwnServer, "off"),
    "redis, appendfsync everysec, small disk": lambda: on_small_disk(partial(_redis_on, "everysec")),
    "redis, appendfsync always, small disk": lambda: on_small_disk(partial(_redis_on, "always")),
    "postgresql, small disk": lambda: on_small_disk(_postgres_on),
    "postgresql, wal_init_zero off, small disk": lambda: on_small_disk(partial(_postgres_on, wal_init_zero="off")),
}


def _redis_on(durability: str, disk: Disk) -> Store:
    return redis.OwnServer(durability, disk=disk)


def _postgres_on(disk: Disk, **settings: str) -> Store:
    store = postgres.OwnServer(disk=disk, **settings)
    store.server.sql("SELECT pg_switch_wal()")  # the first segment was made by initdb, which knows no settings
    return store


#: Those that every experiment that breaks only processes is run on.
EVERY: Final = ("sqlite", "redis", "postgresql")

#: Those that are reached over a network.
SERVERS: Final = ("redis", "postgresql")

#: Those whose disk can be filled.
ON_SMALL_DISKS: Final = tuple(kind for kind in STORES if kind.endswith(", small disk"))

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
