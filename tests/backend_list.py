"""The backends under test: whatever holds for one of them is asked of each.  A new store is added here."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests import postgres_server
from tests.postgres_stores import new_backend
from tests.servers import PROGRAMS, shared
from trioq.abc import Backend
from trioq.backends.memory import InMemoryBackend
from trioq.backends.redis import RedisBackend
from trioq.backends.sqlite import SQLiteBackend

#: How many seconds of store time pass in a real one, where virtual time can't be had.
_HASTE: Final = 100


@attrs.frozen
class Subject:
    """A kind of backend, and how to run it."""

    name: str
    #: Answers a backend over a new store, which may keep its files in the folder.
    make: Callable[[Path], Backend]
    #: Whether it runs on Trio's loop alone: under MockClock a thread would let the clock run away.
    virtual: bool = True
    #: Of the servers of one kind, whether others come before it: then it is asked where all tests are run.
    slow: bool = False

    def clock(self) -> trio.abc.Clock | None:
        """What ``trio.run`` is to be given."""
        return MockClock(autojump_threshold=0) if self.virtual else None


_files: Final = count()


def _new_file(folder: Path) -> Path:
    return folder / f"{next(_files)}.db"


def _hasty_clock() -> Callable[[], float]:
    begun = time.time()
    return lambda: begun + (time.time() - begun) * _HASTE


def _threaded(folder: Path) -> Backend:
    return SQLiteBackend(_new_file(folder), clock=_hasty_clock())


def _redis(server: str, folder: Path) -> Backend:
    return RedisBackend(shared(server).url, prefix=f"test-{next(_files)}", clock=_hasty_clock())


def _postgres(server: str, folder: Path) -> Backend:
    return new_backend(postgres_server.shared(server), clock=_hasty_clock())


BACKENDS: Final = (
    Subject("memory", lambda folder: InMemoryBackend()),
    Subject("sqlite-inline", lambda folder: SQLiteBackend(_new_file(folder), inline=True)),
    Subject("sqlite-thread", _threaded, virtual=False),
    *(Subject(name, partial(_redis, name), virtual=False, slow=n > 0) for n, name in enumerate(PROGRAMS)),
    *(
        Subject(name, partial(_postgres, name), virtual=False, slow=n > 0)
        for n, name in enumerate(postgres_server.PROGRAMS)
    ),
)


def each(*, virtual: bool | None = None) -> list[Any]:
    """The backends for a test of each, or of those that are *virtual*, or are not."""
    return [
        pytest.param(subject, id=subject.name, marks=[pytest.mark.slow] if subject.slow else [])
        for subject in BACKENDS
        if virtual in (None, subject.virtual)
    ]
