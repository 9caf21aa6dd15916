"""The stores.  They know nothing of each other, and nothing above ``_core``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from .._core.errors import UnknownScheme
from ._base import Backend as Backend


def _memory(url: str) -> Backend:
    from .memory import InMemoryBackend

    return InMemoryBackend()


def _sqlite(url: str) -> Backend:
    from .sqlite import SQLiteBackend

    return SQLiteBackend(url.partition(":")[2])


def _redis(url: str) -> Backend:
    from .redis import RedisBackend

    return RedisBackend(url)


def _postgres(url: str) -> Backend:
    from .postgres import PostgresBackend

    return PostgresBackend(url)


#: scheme -> what opens it, imported when it is asked for.
_SCHEMES: Final[Mapping[str, Callable[[str], Backend]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys"), _redis),
    **dict.fromkeys(("postgresql", "postgres"), _postgres),
}


def open_backend(url: str) -> Backend:
    """Return the backend that *url* names, not yet entered.

    ``memory:``, ``sqlite:jobs.db``, ``redis://host:6379/0``, ``postgresql://host/database``.  Each
    ``memory:`` is a store of its own.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in _SCHEMES:
        raise UnknownScheme(url, ["memory:", "sqlite:FILE", "redis://HOST:PORT/DB", "postgresql://HOST/DATABASE"])
    return _SCHEMES[scheme](url)
