"""Counts what a program asks of its store and of Trio.  Counts say the same on a busy machine; times do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs
import pytest
import trio

from trioq.abc import Backend
from trioq.backends.memory import InMemoryBackend
from trioq.backends.postgres import PostgresBackend
from trioq.backends.postgres.connection import Connection
from trioq.backends.redis.client import Link
from trioq.backends.sqlite.group_commit import GroupCommit

#: What a worker or a producer asks of a store.
VERBS: Final = sorted(Backend.__abstractmethods__ - {"watch"})

#: What every exchange with a store goes through, for all callers: a verb of memory, a transaction of SQLite, a
#: command to Redis, a wait on a connection to PostgreSQL.
_TRIPS: Final[dict[str, tuple[type, list[str]]]] = {
    "memory": (InMemoryBackend, VERBS),
    "sqlite": (GroupCommit, ["serve"]),
    "redis": (Link, ["ask"]),
    "postgres": (Connection, ["wait"]),
}

#: What sends a hint by itself; elsewhere they travel with what they tell of.
_HINTS: Final[dict[str, tuple[type, list[str]]]] = {"postgres": (PostgresBackend, ["_notify_on"])}

#: The generator of psycopg's that waits for others' notifications, on a connection that asks nothing meanwhile.
_LISTENING: Final = "notifies"


@attrs.define(eq=False)
class Meter(trio.abc.Instrument):
    """What there was while it counted."""

    trips: int = 0  #: to the store and back
    hints: int = 0  #: of the trips, those that only carry a hint: so many a second at most, however many jobs there are
    calls: int = 0  #: of the store's verbs
    steps: int = 0  #: of tasks: one begins after each checkpoint
    tasks: int = 0  #: that were started

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A task goes on: Trio says so."""
        self.steps += 1

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """A task begins: Trio says so."""
        self.tasks += 1


@contextmanager
def metered(kind: str, backend: Backend) -> Iterator[Meter]:
    """Count for as long as the block runs; *backend* is a store of that *kind*."""
    meter = Meter()
    with pytest.MonkeyPatch.context() as patch:
        for what, places in (("trips", _TRIPS), ("hints", _HINTS)):
            owner, names = places.get(kind, (object, []))
            for name in names:
                patch.setattr(owner, name, _counted(meter, what, getattr(owner, name)))
        for name in VERBS:
            patch.setattr(backend, name, _counted(meter, "calls", getattr(backend, name)))
        trio.lowlevel.add_instrument(meter)
        try:
            yield meter
        finally:
            trio.lowlevel.remove_instrument(meter)


def _counted(meter: Meter, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, counted: as a plain one, which has no checkpoint of its own."""

    def counted(*args: Any, **kwargs: Any) -> Any:
        if not any(getattr(arg, "__name__", "") == _LISTENING for arg in args):
            setattr(meter, what, getattr(meter, what) + 1)
        return function(*args, **kwargs)

    return counted
