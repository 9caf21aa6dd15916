"""PostgresBackend: the verbs as a Trio program calls them.  What they ask of the server is in ``reads``, ``writes``."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import attrs
import trio

from ..._core.errors import NoTransaction, SchemaMissing
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
from .._group_commit import GroupCommit, part_of_inserted, part_of_settled, size_of_change, size_of_job
from .._hints import HintChannels
from .._request_runner import nothing
from .._write_deadlines import WriteDeadlines
from . import housekeeping, reads, writes
from .errors import MISSING, code_of, translate
from .listener import Listener
from .notify_limiter import NotifyLimiter
from .queries import channel_of, statements
from .request_runner import RequestRunner
from .rows import Row
from .schema import migrate, require_layout
from .settle import settle

if TYPE_CHECKING:
    from .connection import Connection
    from .session import Session, Terms

A = TypeVar("A")
T = TypeVar("T")
P = ParamSpec("P")

#: A plan is kept for as long as its statement is prepared.  One that was made while a table had ten jobs would read all
#: jobs when it has a million.  Each of our statements has an index for every step, whatever values are bound.
_PLANNING: Final = b"""
SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET jit = off; SET plan_cache_mode = force_generic_plan;
"""

#: Set whatever the default is: a statement that waited for another transaction must see what that one has left.
_READ_COMMITTED: Final = b"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"

#: Seconds that the last hints may take when the backend is closed.
_LAST_WORDS: Final = 1.0


class PostgresBackend(Backend):
    """Jobs in PostgreSQL (14 or later), shared by any number of processes on any number of machines.

    ``PostgresBackend("postgresql://user:password@host/database")``; the URL may be whatever libpq takes.  The tables
    are in a *schema* of their own, made by ``trioq migrate URL`` or `migrate`.  What a verb answered survives what the
    server's commits survive: see ``synchronous_commit``.  Up to *connections* are open, and one more that listens.
    *clock* replaces the server's clock.
    """

    def __init__(
        self, url: str, schema: str = "trioq", connections: int = 4, clock: Callable[[], float] | None = None
    ) -> None:
        from .connection import Connection  # isort: skip  # needs the extra, and says so
        from .address import Address
        from .session import Session, Terms

        if not 0 < len(schema.encode()) < 64 or "\0" in schema:  # PostgreSQL would cut off the rest
            raise ValueError(f"a schema has a name of 1 to 63 bytes, not {schema!r:.200}")
        if connections < 1:  # each request would wait for one, and call that an outage
            raise ValueError(f"a backend has 1 connection or more, not {connections}")
        address = Address.parse(url)
        self._open_connection = address.open
        self._where = address.where
        self._schema = schema
        self._connections = connections
        self._clock = clock
        self._me = secrets.token_hex(8)
        self._connection_kind = Connection
        self._session_on = Session
        self._channel = channel_of(schema)
        self._terms = Terms(statements(schema), self._me)
        # What a caller's own transaction notifies, this process receives like the hints of any other process.
        self._foreign = attrs.evolve(self._terms, sender="within")
        self._begin()

    def _begin(self) -> None:
        """Make all that belongs to one time of being open."""
        self._write_deadlines = WriteDeadlines()
        self._requests = RequestRunner(self._connect, self._where, self._connections, self._listen_anew, self._schema)
        self._inserts = GroupCommit(self._requests, self._insert, part_of_inserted, size_of_job)
        self._settles = GroupCommit(self._requests, self._settle, part_of_settled, size_of_change)
        self._hint_channels = HintChannels()
        self._notify_limiter = NotifyLimiter(self._notify, self._me)
        self._listener = Listener(self._open_connection, self._notify_on, self._channel, self._hint_channels, self._me)

    def __repr__(self) -> str:
        return f"<PostgresBackend {self._where} schema={self._schema!r}>"

    # -- lifetime --

    async def _start(self) -> None:
        self._begin()
        try:
            await self._requests.open()
            await self._requests.read(nothing)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._requests.close()
            raise
        self._requests.nursery.start_soon(self._listener.run)

    async def _stop(self) -> None:
        with trio.move_on_after(_LAST_WORDS):
            await self._notify_limiter.send()
        await self._requests.close()

    async def _connect(self) -> Connection[Any]:
        """Open a connection to a store whose layout is ours."""
        connection = await self._open_connection()
        try:
            layout, process = await self._look_around(connection)
            require_layout(layout, self._where, self._schema)
            if process == connection.info.backend_pid:
                await connection.execute(_PLANNING + _READ_COMMITTED)
            else:  # a pooler: it would lend our settings and prepared statements to others
                connection.prepare_threshold = None
            return connection
        except BaseException:
            connection.drop()
            raise

    async def _look_around(self, connection: Connection[Any]) -> Row:
        """Return which layout the tables have, and which process of the server works for us."""
        try:
            [answer] = await self._session(connection).ask("layout")
        except Exception as error:
            if code_of(error) in MISSING:
                raise SchemaMissing(self._where, self._schema) from error
            raise
        return answer

    def _listen_anew(self) -> None:
        self._listener.start_over()

    async def migrate(self) -> None:
        """Make the tables, or bring them up to date; the backend need not be open.

        All or nothing, and safe for any number of processes at once.  It drops nothing.  Raises SchemaTooNew for tables
        that a newer trioq has made.
        """
        try:
            connection = await self._open_connection()
            try:
                await migrate(connection, self._where, self._schema)
            finally:
                connection.drop()
        except Exception as error:
            told = translate(error, self._where, admitted=False, schema=self._schema)
            if told is error:
                raise
            raise told from error

    # -- to the server and back --

    def _session(self, connection: Connection[Any], terms: Terms | None = None) -> Session:
        return self._session_on(connection, terms or self._terms, None if self._clock is None else self._clock())

    async def _read(
        self, read: Callable[Concatenate[Session, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        self.require_open()
        answer: T = await self._requests.read(lambda connection: read(self._session(connection), *args, **kwargs))
        return answer

    async def _write(self, write: Callable[[Session], Awaitable[T]], lease: float = inf) -> T:
        self.require_open()
        patience = min(self.patience, lease / 3)
        answer: T = await self._requests.write(lambda connection: write(self._session(connection)), patience)
        return answer

    async def _insert(self, connection: Connection[Any], jobs: Sequence[Job]) -> Inserted:
        return await self._tell(writes.insert, connection, jobs)

    async def _settle(self, connection: Connection[Any], changes: Sequence[Change]) -> Settled:
        return await self._tell(settle, connection, changes)

    async def _tell(
        self,
        write: Callable[[Session, Sequence[A]], Awaitable[tuple[T, writes.QueueHints]]],
        connection: Connection[Any],
        items: Sequence[A],
    ) -> T:
        """Write, and send the hints to other processes: with the commit if it may notify, else a moment later."""
        carried = self._notify_limiter.take_turn()
        messages = self._notify_limiter.messages(carried or {})
        session = attrs.evolve(self._session(connection), notifies=carried is not None, carried=messages)
        try:
            answer, queue_hints = await write(session, items)
        except BaseException:
            self._notify_limiter.later(carried or {}, self._requests.nursery)
            raise
        for queue, hint in queue_hints.items():
            self._hint_channels.notify(hint, queue)
        if carried is None:
            self._notify_limiter.later(queue_hints, self._requests.nursery)
        return answer

    def _require_transaction(self, connection: Connection[Any]) -> None:
        """Raise TypeError for what is no connection of ours, NoTransaction where each statement commits by itself."""
        if not isinstance(connection, self._connection_kind):
            raise TypeError(f"within() takes a connection of trioq.postgres.connect, not {connection!r:.200}")
        if connection.autocommit and not connection.info.transaction_status:
            raise NoTransaction(connection)

    async def _notify(self, messages: Sequence[str]) -> None:
        await self._notify_on(self._channel, *messages)

    async def _notify_on(self, channel: str, *messages: str) -> None:
        values = {"channel": channel, "messages": list(messages)}
        await self._requests.read(lambda connection: self._session(connection).ask("notify", **values))

    # -- verbs --

    async def insert(self, jobs: Sequence[Job]) -> Inserted:
        self.require_open()
        return await self._inserts.write(jobs, self.patience)

    async def insert_within(self, transaction: Connection[Any], jobs: Sequence[Job]) -> Inserted:
        """Add jobs as a part of the transaction that this connection is in; psycopg's errors are raised as they are."""
        self.require_open()
        self._require_transaction(transaction)
        if not jobs:
            await trio.lowlevel.checkpoint()
            return Inserted(0.0, (), ())
        answer, _ = await writes.insert(self._session(transaction, self._foreign), jobs)
        return answer

    async def claim(self, queues: Sequence[str], limit: int, worker: str, lease: float, idle: bool) -> Claimed:
        self._write_deadlines.note(worker, lease)
        return await self._write(lambda session: writes.claim(session, queues, limit, worker, lease, idle), lease)

    async def settle(self, changes: Sequence[Change]) -> Settled:
        self.require_open()
        return await self._settles.write(changes, min(self.patience, self._write_deadlines.shortest() / 3))

    async def renew(self, worker: Presence, leases: Sequence[Lease]) -> Renewed:
        self._write_deadlines.note(worker.worker, worker.lease)
        return await self._write(lambda session: writes.renew(session, worker, leases), worker.lease)

    async def overdue(self, limit: int) -> Overdue:
        return await self._read(reads.overdue, limit)

    async def get(self, queue: str, ids: Sequence[str]) -> Found:
        return await self._read(reads.get, queue, ids)

    async def have_ended(self, queue: str, ids: Sequence[str]) -> list[bool]:
        return await self._read(reads.have_ended, queue, ids)

    async def find(self, filter: Filter, cursor: int | None = None, limit: int = 100) -> Page:
        return await self._read(reads.find, filter, cursor, limit)

    async def counts(self, queue: str) -> dict[State, int]:
        return await self._read(reads.counts, queue)

    async def queues(self) -> list[str]:
        return await self._read(reads.queues)

    async def pause(self, queue: str) -> float:
        now = await self._write(lambda session: housekeeping.pause(session, queue))
        self._hint_channels.notify(housekeeping.PAUSED, queue)
        return now

    async def resume(self, queue: str) -> float:
        now = await self._write(lambda session: housekeeping.resume(session, queue))
        self._hint_channels.notify(housekeeping.RESUMED, queue)
        return now

    async def is_queue_paused(self, queue: str) -> bool:
        return await self._read(reads.is_queue_paused, queue)

    def watch(self, queues: Sequence[str]) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[Hint]]:
        self.require_open()
        return self._watch(queues)

    @asynccontextmanager
    async def _watch(self, queues: Sequence[str]) -> AsyncIterator[trio.abc.ReceiveChannel[Hint]]:
        # The channel first: it receives a hint of what another process writes while we begin to listen.
        async with self._hint_channels.watch(queues) as hints, self._listener.listening(queues):
            yield hints

    async def remove(self, queue: str, ids: Sequence[str]) -> list[bool]:
        return await self._write(lambda session: housekeeping.remove(session, queue, ids))

    async def prune(self, queues: Sequence[str], limits: Retention, batch: int = 1_000) -> int:
        return await self._write(lambda session: housekeeping.prune(session, queues, limits, batch))

    async def workers(self) -> list[Presence]:
        return await self._read(reads.workers)
