"""psycopg's connection, driven by Trio: no asyncio, no threads for queries.  The one file that knows its private parts.

psycopg does no I/O of its own.  A method makes a generator that says what it waits for, and a few methods of the
connection drive that.  Those are replaced here; cursors, rows, types, COPY and pipelines are psycopg's.  psycopg does
not promise that this stays so, hence the narrow range of versions.  ``tests/backends/test_postgres_canary.py`` checks
each of these:

- `lock`, made in ``__init__``, is all that keeps two tasks apart, and is held while a query is under way;
- ``wait(gen, interval, timeout)`` drives all that happens on a connection, and raises ``_WaitTimeout``.  A generator
  yields the ``Wait`` that it wants, and is sent what is ready.  If 0 is sent, for nothing, it yields the same again;
- ``_connect_gen`` and ``_cancel_gen`` do the same on sockets that change, and so yield the socket as well;
- ``_try_cancel`` is how COPY and ``stream`` get rid of rows that the caller does not want any more;
- ``_autocommit``, ``_adapters`` and ``_closed`` are what ``connect`` and ``close`` set.

Trio cancels at each checkpoint until the scope is left.  So what tidies up after a cancelled caller is shielded, and
has a deadline: a connection that doesn't come to rest by then is closed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from math import inf
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast, overload

import trio

from ..._core.errors import ExtraMissing

try:
    import psycopg
except ModuleNotFoundError as error:
    raise ExtraMissing("PostgreSQL", "postgres") from error
except ImportError as error:
    raise ImportError(
        "psycopg is installed, and finds no libpq, the C library that talks to PostgreSQL. Install the one that comes "
        'as a wheel, pip install "psycopg[binary]", or that of the system, e.g. apt install libpq5'
    ) from error

from psycopg import capabilities, errors, generators, pq
from psycopg.abc import AdaptContext, ConnParam, PQGen
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_attempts, conninfo_to_dict, make_conninfo, timeout_from_conninfo
from psycopg.rows import AsyncRowFactory, Row, TupleRow, tuple_row
from psycopg.waiting import Wait

from .driver.lock import ConnectionLock
from .driver.waiting import drive, drive_connecting, poll

_log: Final = logging.getLogger("trioq.postgres")

#: Seconds after which a server that goes on with a cancelled query is told again: the first cancellation may have come
#: between two statements.
_AGAIN: Final = 0.25

_ACTIVE: Final = pq.TransactionStatus.ACTIVE

T = TypeVar("T")


class Connection(psycopg.AsyncConnection[Row]):
    """A connection to PostgreSQL: `psycopg.AsyncConnection` with all that it has, on Trio.

    Make one with `trioq.postgres.connect`.  Each query is a checkpoint.  When the caller is cancelled, its query is
    cancelled on the server as well, and the connection can be used afterwards.  Outside a transaction (autocommit), the
    query may have been done already.  COMMIT, ROLLBACK and their like are not interrupted: a cancelled caller waits for
    their outcome, 5 seconds at most.  After that, `psycopg.OperationalError` says that the outcome is unknown, and the
    connection is closed.

    One task at a time uses the connection; others wait for its lock.  Leave ``notifies()`` and ``stream()`` by way of
    `contextlib.aclosing`: they hold the connection until they are closed.
    """

    #: Seconds that the server may take to end what a cancelled caller has begun: a query, or a COMMIT.  Then the
    #: connection is closed.
    patience: float = 5.0

    #: Whether the rest of a cancelled query's answer is read, so that the connection can be used again.  Else the
    #: connection is closed once the server has been told.
    outlives_a_cut: bool = True

    def __init__(self, pgconn: pq.abc.PGconn, row_factory: AsyncRowFactory[Row] | None = None) -> None:
        super().__init__(pgconn, row_factory or cast("AsyncRowFactory[Row]", tuple_row))
        self._lock = ConnectionLock()
        self.lock = self._lock  # type: ignore[assignment]  # it is used as asyncio's is

    # -- its life --

    @classmethod
    async def connect(
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = 5,
        context: AdaptContext | None = None,
        row_factory: AsyncRowFactory[Row] | None = None,
        cursor_factory: type[psycopg.AsyncCursor[Row]] | None = None,
        **kwargs: ConnParam,
    ) -> Self:
        """Open a connection.  Cancelled, it leaves nothing behind.  ``connect_timeout`` is for each address in turn."""
        params = conninfo_to_dict(conninfo, **kwargs)
        timeout = timeout_from_conninfo(params)
        # In a thread, for it resolves names.
        attempts = await trio.to_thread.run_sync(conninfo_attempts, params, abandon_on_cancel=True)
        failures: list[psycopg.Error] = []
        for attempt in attempts:
            try:
                connection = await cls._attempt(make_conninfo("", **attempt), timeout)
                break
            except psycopg.Error as failure:
                failures.append(failure)
        else:
            *others, last = failures
            for other in others:
                last.add_note(f"Another address of this host failed, too: {other}")
            raise last
        connection._autocommit = autocommit
        connection.prepare_threshold = prepare_threshold
        connection.row_factory = row_factory or connection.row_factory
        connection.cursor_factory = cursor_factory or connection.cursor_factory
        if context is not None:
            connection._adapters = AdaptersMap(context.adapters)
        return connection

    @classmethod
    async def _attempt(cls, conninfo: str, limit: float) -> Self:
        steps = cls._connect_gen(conninfo)
        try:
            with trio.move_on_after(limit):
                return await drive_connecting(steps)
        finally:
            steps.close()  # and with it what it has opened
        raise errors.ConnectionTimeout(f"no connection within {limit:g} s")

    def drop(self) -> None:
        """Close it at once, whatever is under way: a task that waits for an answer gets an error."""
        if not self.closed:
            self._closed = True
            trio.lowlevel.notify_closing(self.pgconn.socket)
            self.pgconn.finish()

    async def close(self) -> None:
        """Close it.  A checkpoint, but not one at which a task is cancelled: leaving must not hide why."""
        self.drop()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._lock.uncut():
                await super().__aexit__(kind, error, trace)  # noqa: ASYNC102  it has a deadline, in `wait`
        finally:
            self.drop()

    @property
    def stands(self) -> bool:
        """Whether no sign of its end has come.  It sends nothing, and is for a connection that no task uses."""
        with suppress(psycopg.Error):
            while not self.closed and poll(self.pgconn.socket, Wait.R):
                self.pgconn.consume_input()
        return not self.closed

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is under way, no transaction either."""
        idle = self.pgconn.transaction_status == pq.TransactionStatus.IDLE
        return idle and not self.pgconn.pipeline_status and self._pipeline is None

    # -- what drives it --

    @trio.lowlevel.enable_ki_protection  # Ctrl-C comes where we wait, and never inside of a generator
    async def wait(
        self,
        gen: PQGen[T],
        interval: float = inf,
        timeout: float | None = None,  # noqa: ASYNC109  so does psycopg
    ) -> T:
        """Drive a generator of psycopg to its end."""
        was_active = self._is_active()
        if timeout is None or poll(self.pgconn.socket, Wait.R):  # what has come already is taken in no time
            timeout = inf
        try:
            with trio.move_on_after(timeout):
                return await drive(gen, self.pgconn.socket)
        except (trio.Cancelled, KeyboardInterrupt) as cut:
            if self._lock.answer_is_uncut:
                return await self._wait_uncut(gen, cut)  # noqa: ASYNC102, ASYNC104  it shields itself, with a deadline
            if self._is_active() or self.pgconn.pipeline_status:  # where it need not look active, with answers to come
                await self._interrupt(gen, leave_active=was_active)  # noqa: ASYNC102  likewise
            raise
        except (trio.ClosedResourceError, OSError) as error:
            raise psycopg.OperationalError("the connection was closed while its answer was awaited") from error
        raise errors._WaitTimeout("nothing came in time")

    async def _wait_uncut(self, gen: PQGen[T], cut: BaseException) -> T:
        """Wait for the answer all the same; Cancelled comes again, at the next checkpoint."""
        with trio.move_on_after(self.patience, shield=True):
            answer = await drive(gen, self.pgconn.socket, ready=0)
            if isinstance(cut, KeyboardInterrupt):
                raise cut
            return answer
        self.drop()
        if isinstance(cut, KeyboardInterrupt):
            raise cut
        raise psycopg.OperationalError(
            f"no answer within {self.patience:g} s, so the connection was closed: whether a COMMIT was done is unknown"
        )

    async def _interrupt(self, gen: PQGen[Any], *, leave_active: bool) -> None:
        """Have the server end what it does, and read the rest of its answer; else close the connection.

        *leave_active* is for the parts of a COPY or a pipeline: these end it themselves.
        """
        if not self.outlives_a_cut:
            await self._try_cancel()
            self.drop()
            return
        heard_out = False
        with trio.move_on_after(self.patience, shield=True):
            while not heard_out:
                await self._try_cancel()
                with trio.move_on_after(_AGAIN):
                    await self._receive_rest(gen, leave_active=leave_active)
                    heard_out = True
        if not heard_out or (self._is_active() and not leave_active and not self.pgconn.pipeline_status):
            self.drop()

    async def _receive_rest(self, gen: PQGen[Any], *, leave_active: bool) -> None:
        """Read and drop what the server still sends: at last, that the query was cancelled."""
        socket = self.pgconn.socket
        with suppress(psycopg.Error):
            await drive(gen, socket, ready=0)
        if not self._is_active() or self.pgconn.pipeline_status:
            return
        with suppress(psycopg.Error):
            results = await drive(generators.fetch_many(self.pgconn), socket)
            if leave_active or not results:
                return
            # A COPY has begun, and its block never will.
            if results[-1].status == pq.ExecStatus.COPY_IN:
                await drive(generators.copy_end(self.pgconn, b"cancelled"), socket)
            while self._is_active() and results[-1].status == pq.ExecStatus.COPY_OUT:
                await drive(generators.copy_from(self.pgconn), socket)

    def _is_active(self) -> bool:
        return self.pgconn.transaction_status == _ACTIVE

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109  so does psycopg
        """Ask the server to end what this connection does; the answer comes to the task that waits for it."""
        if not self._should_cancel():
            return
        with trio.move_on_after(timeout or inf):
            if capabilities.has_cancel_safe():
                await drive_connecting(self._cancel_gen())
            else:  # the libpq is older than 17
                await trio.to_thread.run_sync(self.cancel, abandon_on_cancel=True)
            return
        raise errors.CancellationTimeout("the server did not take the cancellation in time")

    async def _try_cancel(self, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109  so does psycopg
        with trio.CancelScope(shield=True):
            await super()._try_cancel(timeout=min(timeout, self.patience))

    # -- what is not interrupted --

    async def commit(self) -> None:
        """Commit what has been done since the last commit; a cancelled caller waits for the outcome."""
        with self._lock.uncut(turn=False):
            await super().commit()

    async def rollback(self) -> None:
        """Undo what has been done since the last commit; a cancelled caller waits for the outcome."""
        with self._lock.uncut(turn=False):
            await super().rollback()

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """Begin a transaction, or within one a savepoint: committed at the end of the block, rolled back on an error.

        A cancelled block is rolled back.  Once COMMIT is sent, its outcome is awaited.
        """
        async with self._ended(super().transaction(savepoint_name, force_rollback)) as transaction:
            yield transaction
            if self._pipeline is not None:  # what comes before the COMMIT may be cancelled
                await self._pipeline.sync()

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[psycopg.AsyncPipeline]:
        """Inside, statements are sent without waiting for the answers of those before.

        The end of the block waits for the answers.  It can be cancelled, as the statements can.
        """
        async with self._ended(super().pipeline(), answer=False) as pipeline:
            yield pipeline

    @asynccontextmanager
    async def _ended(self, block: AbstractAsyncContextManager[T], *, answer: bool = True) -> AsyncIterator[T]:
        """Enter the block and end it in any case; *answer*: whether a cancelled task still waits for the answers."""
        with self._lock.uncut(turn=False, answer=answer):
            value = await block.__aenter__()
        try:
            yield value
        except BaseException as error:
            with self._lock.uncut(answer=answer):
                if await self._leave(block, error):  # noqa: ASYNC102  it has a deadline, in `wait`
                    return  # noqa: ASYNC104  the block itself wants it swallowed
            raise
        with self._lock.uncut(answer=answer):
            await block.__aexit__(None, None, None)

    async def _leave(self, block: AbstractAsyncContextManager[Any], error: BaseException) -> bool:
        """Leave a block because of an error, which says more than the failure of a ROLLBACK does."""
        try:
            return bool(await block.__aexit__(type(error), error, error.__traceback__))
        except psycopg.OperationalError as failure:
            if failure is not error:
                _log.warning("a block of %r could not be ended: %s", self, failure)
            return False


@overload
async def connect(
    conninfo: str = "", *, autocommit: bool = False, prepare_threshold: int | None = 5, **kwargs: ConnParam
) -> Connection[TupleRow]: ...
@overload
async def connect(
    conninfo: str = "",
    *,
    row_factory: AsyncRowFactory[Row],
    autocommit: bool = False,
    prepare_threshold: int | None = 5,
    **kwargs: ConnParam,
) -> Connection[Row]: ...
async def connect(conninfo: str = "", **kwargs: Any) -> Connection[Any]:
    """Connect to PostgreSQL, on Trio.

    ::

        async with await trioq.postgres.connect("postgresql://localhost/shop") as connection:
            async with connection.transaction():
                await connection.execute("UPDATE orders SET paid = true WHERE id = %s", [order])

    *conninfo* and *kwargs* are those of libpq, and all else is as in `psycopg.AsyncConnection.connect`.  Without
    *autocommit*, the first query begins a transaction, and leaving the block without an error commits it.  Can be
    cancelled, and leaves nothing behind then.  Raises `psycopg.OperationalError` where it can't connect.
    """
    return await Connection.connect(conninfo, **kwargs)
