"""SQLiteBackend: the verbs as a Trio program calls them.  What they do in a transaction is in ``reads``, ``writes``."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from math import inf
from typing import ClassVar, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

import trio

from ..._core.errors import BackendError, BackendNotOpen, TrioqError
from ..._core.job import Job, State
from ..._core.lifecycle import Change
from .._base import (
    Backend,
    Claimed,
    Filter,
    Found,
    Hint,
    Inserted,
    Lease,
    Overdue,
    Page,
    Presence,
    Renewed,
    Retention,
    Settled,
)
from .._hints import ALL_HINTS, HintChannels
from .._write_deadlines import WriteDeadlines
from . import housekeeping, reads, writes
from .errors import translate
from .group_commit import GroupCommit, Request, Transaction
from .hint_counters import HintCounters, QueueHints
from .schema import open_database
from .thread import ConnectionThread, Inline
from .wakeup import FileWatcher, Listener, best_watcher

T = TypeVar("T")


class SQLiteBackend(Backend):
    """Jobs in a SQLite file, shared by any number of processes of one machine.

    ``SQLiteBackend("jobs.db")``; a ``file:`` URI works, too.  With ``synchronous="FULL"`` what a verb answered
    survives a power cut.  "NORMAL" is faster, and may lose the last moments then, but never in a crash of the process.
    ``inline=True`` runs SQLite on the event loop, by Trio's clock: for tests in virtual time.  *clock* replaces the
    wall clock.
    """

    #: Makes what notices the hints of other processes.
    _make_watcher: ClassVar[Callable[[str], FileWatcher]] = staticmethod(best_watcher)

    def __init__(
        self,
        path: str | os.PathLike[str],
        synchronous: str = "FULL",
        inline: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if synchronous not in ("FULL", "NORMAL"):
            raise ValueError(f'synchronous is "FULL" or "NORMAL", not {synchronous!r}')
        self._database, self._path = _located(os.fspath(path))
        self._synchronous = synchronous
        self._inline = inline
        self._clock = clock
        self._latest = self._wall_less_trio = 0.0
        self._clocked_run: trio.lowlevel.TrioToken | None = None
        self._thread: ConnectionThread | Inline | None = None
        self._hint_channels = HintChannels()
        self._listener: Listener | None = None
        self._write_deadlines = WriteDeadlines()

    def __repr__(self) -> str:
        return f"<SQLiteBackend {self._path}>"

    @property
    def database_path(self) -> str:
        """The absolute path of the file."""
        return self._path

    # -- lifetime --

    async def _start(self) -> None:
        self._require_real_time()
        self._abandon()
        hint_counters = HintCounters(self._path)
        clock = self._clock or (self._trio_clock() if self._inline else time.time)
        opening = partial(self._open, hint_counters, clock)
        thread = (Inline if self._inline else ConnectionThread)(opening, self._notify, self)
        with self._translated():
            await thread.start()
        self._thread = thread
        self._listener = Listener(
            partial(type(self)._make_watcher, hint_counters.wake_file),
            partial(self._look, hint_counters),
            self._on_failure,
        )

    def _require_real_time(self) -> None:
        """Refuse a clock that jumps when no task runs: it would jump while the thread works, past every deadline."""
        jumps = getattr(trio.lowlevel.current_clock(), "autojump_threshold", inf) < inf
        if jumps and not self._inline:
            raise BackendError(
                "SQLite's thread and a clock that jumps don't go together. "
                f"In tests, take memory: or SQLiteBackend({self._path!r}, inline=True)"
            )

    async def _stop(self) -> None:
        if self._listener is not None:
            self._listener.stop()
        if self._thread is not None:
            await self._thread.stop()
        self._thread = None

    def _abandon(self) -> None:
        """Drop what an earlier ``trio.run`` left open at its end."""
        if self._thread is not None:
            self._thread.abandon()
        self._thread, self._listener = None, None
        self._hint_channels = HintChannels()
        self._write_deadlines = WriteDeadlines()

    def _open(self, hint_counters: HintCounters, clock: Callable[[], float]) -> GroupCommit:
        db = open_database(self._database, self._path, self._synchronous)
        commit = GroupCommit(db, self._path, clock, hint_counters)
        earlier_hints = Request(lambda tx: hint_counters.new_hints(tx.db), writes=False)
        commit.serve([earlier_hints])
        earlier_hints.answer()
        return commit

    def _trio_clock(self) -> Callable[[], float]:
        """Make a clock: the wall clock as it is now, plus Trio's from here on, never going back."""
        elapsed, run = trio.current_time(), trio.lowlevel.current_trio_token()
        # Virtual time runs ahead of the wall clock: within one run, no moment of it counts twice.
        least = self._wall_less_trio if run is self._clocked_run else self._latest - elapsed
        self._wall_less_trio, self._clocked_run = max(time.time() - elapsed, least), run

        def now() -> float:
            self._latest = self._wall_less_trio + trio.current_time()
            return self._latest

        return now

    # -- to the connection and back --

    async def _read(self, work: Callable[[Transaction], T]) -> T:
        with self._translated():
            return cast("T", await self._opened().read(work))

    async def _write(self, work: Callable[[Transaction], T], lease: float = inf) -> T:
        with self._translated():
            return cast("T", await self._opened().write(work, min(self.patience, lease / 3)))

    def _opened(self) -> ConnectionThread | Inline:
        self.require_open()
        if self._thread is None:
            raise BackendNotOpen(self)
        return self._thread

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TrioqError:
            raise
        except Exception as error:
            raise translate(error, self._path) from error

    def _notify(self, queue_hints: QueueHints) -> None:
        for queue, hint in queue_hints.items():
            self._hint_channels.notify(hint, queue)

    def _on_failure(self) -> None:
        self._hint_channels.notify(ALL_HINTS)

    async def _look(self, hint_counters: HintCounters) -> bool:
        queue_hints = await self._read(lambda tx: hint_counters.new_hints(tx.db))
        self._notify(queue_hints)
        return bool(queue_hints)

    # -- verbs --

    async def insert(self, jobs: Sequence[Job]) -> Inserted:
        return await self._write(partial(writes.insert, jobs=jobs))

    async def claim(self, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
        work = partial(writes.claim, queues=queues, limit=limit, worker=worker, lease=lease, idle=idle)
        self._write_deadlines.note(worker, lease)
        return await self._write(work, lease)

    async def settle(self, changes: Sequence[Change]) -> Settled:
        return await self._write(partial(writes.settle, changes=changes), self._write_deadlines.shortest())

    async def renew(self, worker: Presence, leases: Sequence[Lease]) -> Renewed:
        self._write_deadlines.note(worker.worker, worker.lease)
        return await self._write(partial(writes.renew, worker=worker, leases=leases), worker.lease)

    async def overdue(self, limit: int) -> Overdue:
        return await self._read(partial(reads.overdue, limit=limit))

    async def get(self, queue: str, ids: Sequence[str]) -> Found:
        return await self._read(partial(reads.get, queue=queue, ids=ids))

    async def have_ended(self, queue: str, ids: Sequence[str]) -> list[bool]:
        return await self._read(partial(reads.have_ended, queue=queue, ids=ids))

    async def find(self, filter: Filter, cursor: int | None = None, limit: int = 100) -> Page:
        return await self._read(partial(reads.find, filter=filter, cursor=cursor, limit=limit))

    async def counts(self, queue: str) -> dict[State, int]:
        return await self._read(partial(reads.counts, queue=queue))

    async def queues(self) -> list[str]:
        return await self._read(reads.queues)

    async def pause(self, queue: str) -> float:
        return await self._write(partial(housekeeping.pause, queue=queue))

    async def resume(self, queue: str) -> float:
        return await self._write(partial(housekeeping.resume, queue=queue))

    async def is_queue_paused(self, queue: str) -> bool:
        return await self._read(partial(reads.is_queue_paused, queue=queue))

    def watch(self, queues: Sequence[str]) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        self.require_open()
        return self._watch(queues)

    @asynccontextmanager
    async def _watch(self, queues: Sequence[str]) -> AsyncIterator[trio.abc.ReceiveChannel[Hint]]:
        assert self._listener is not None
        # The channel first: it receives a hint of what another process commits while we begin to listen.
        async with self._hint_channels.watch(queues) as hints, self._listener.listening():
            yield hints

    async def remove(self, queue: str, ids: Sequence[str]) -> list[bool]:
        return await self._write(partial(housekeeping.remove, queue=queue, ids=ids))

    async def prune(self, queues: Sequence[str], limits: Retention, batch: int = 1_000) -> int:
        return await self._write(partial(housekeeping.prune, queues=queues, limits=limits, batch=batch))

    async def workers(self) -> list[Presence]:
        return await self._read(reads.workers)

    async def migrate(self) -> None:
        """Open the store and leave it: opening migrates."""
        async with self:
            pass


def _located(path: str) -> tuple[str, str]:
    """Return what SQLite is to open, and the absolute path of the file, for a path or a ``file:`` URI."""
    uri = path.startswith("file:")
    file = unquote(urlsplit(path).path) if uri else path
    if file in ("", ":memory:"):
        raise ValueError(f"{path!r} names no file. For jobs that die with the process, use memory:")
    absolute = os.path.abspath(file)
    if not uri:
        return absolute, absolute
    query = urlsplit(path).query
    return f"file:{quote(absolute)}" + (f"?{query}" if query else ""), absolute
