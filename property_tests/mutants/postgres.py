"""Faults in the PostgreSQL backend: in its statements, its tables and the Python around them."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_SQL: Final = "backends/postgres/queries.sql"
_TABLES: Final = "backends/postgres/migrations/0001_initial.sql"
_SETTLE: Final = "backends/postgres/settle.py"
_BACKEND: Final = "backends/postgres/backend.py"
_SCHEMA: Final = "backends/postgres/schema.py"
_NOTIFY_LIMITER: Final = "backends/postgres/notify_limiter.py"
_LISTENER: Final = "backends/postgres/listener.py"
_REQUEST_RUNNER: Final = "backends/postgres/request_runner.py"
_ERRORS: Final = "backends/postgres/errors.py"
_CONNECTION: Final = "backends/postgres/connection.py"

MUTANTS: Final = (
    Mutant("two inserts of the same keys deadlock", _SQL, "insert", "ORDER BY unique_key, queue, id", "ORDER BY n"),
    Mutant(
        "two claims at the same time take the same jobs",
        _SQL,
        "claim",
        "LIMIT (SELECT most FROM allowed) FOR NO KEY UPDATE SKIP LOCKED",
        "LIMIT (SELECT most FROM allowed)",
    ),
    Mutant("a settle ignores the version", _SQL, "settle", "AND j.version = given.was", ""),
    Mutant(
        "a reclaim ignores that the lease was renewed",
        _SQL,
        "settle",
        "AND (given.leased IS NULL OR j.lease_until = given.leased)",
        "",
    ),
    Mutant(
        "a requeue takes the unique key of a live job", _TABLES, "jobs_live_key", "CREATE UNIQUE INDEX", "CREATE INDEX"
    ),
    Mutant(
        "the second step of a job in one batch is lost",
        _SETTLE,
        "_Settling._store_each",
        "_apart(left)",
        "(left, [])",
    ),
    Mutant(
        "a composite change is stored in part",
        _SETTLE,
        "_Settling._store_whole",
        "async with self._session.transaction():\n"
        "    if change.also and not self.nested:\n"
        "        await self.lock([change])\n"
        "    queue_hints = await self._store_parts(change)",
        "queue_hints = await self._store_parts(change)",
    ),
    Mutant(
        "the cancel of a held job notifies no worker", _SETTLE, "", "_BITS[State.CANCELLED] |= Hint.CANCELLED.value", ""
    ),
    Mutant(
        "two migrations at the same time both create the tables",
        _SCHEMA,
        "migrate",
        "await connection.execute(_LOCK, (_LOCK_NUMBER, schema))",
        "",
    ),
    Mutant(
        "an insert is accepted in a transaction that is none",
        _BACKEND,
        "PostgresBackend._require_transaction",
        "connection.autocommit",
        "False",
    ),
    Mutant(
        "each commit notifies",
        _NOTIFY_LIMITER,
        "NotifyLimiter.take_turn",
        "trio.current_time() < self._quiet_until",
        "False",
    ),
    Mutant(
        "a hint that was put off is never sent",
        _NOTIFY_LIMITER,
        "NotifyLimiter.later",
        "nursery.start_soon(self._send_later)",
        "",
    ),
    Mutant(
        "the next user of a pooled connection receives our hints",
        _LISTENER,
        "Listener._hears",
        "f'{self._channel}:{self._me}'",
        "self._channel",
    ),
    Mutant(
        "a transaction that the server rolled back is not run again",
        _REQUEST_RUNNER,
        "RequestRunner._mend",
        "code in ROLLED_BACK or code in UNPREPARED or code == OUTDATED",
        "code in UNPREPARED or code == OUTDATED",
    ),
    Mutant(
        "a connection in an open transaction is used for the next request",
        _REQUEST_RUNNER,
        "RequestRunner._put_back",
        "broken or not link.is_at_rest",
        "broken",
    ),
    Mutant("a connection to a server that refuses writes is kept", _ERRORS, "_LOST", "'25006'", "'25P03'"),
    Mutant(
        "the end of a transaction can be cancelled",
        _CONNECTION,
        "Connection._ended",
        "with self._lock.uncut(answer=answer):\n    await block.__aexit__(None, None, None)",
        "await block.__aexit__(None, None, None)",
    ),
    Mutant(
        "a cancelled query runs on at the server",
        _CONNECTION,
        "Connection._interrupt",
        "await self._try_cancel()\n"
        "with trio.move_on_after(_AGAIN):\n"
        "    await self._receive_rest(gen, leave_active=leave_active)\n"
        "    heard_out = True",
        "with trio.move_on_after(_AGAIN):\n"
        "    await self._receive_rest(gen, leave_active=leave_active)\n"
        "    heard_out = True",
    ),
)
