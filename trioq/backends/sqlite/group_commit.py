"""Group commit: requests of one moment in one transaction, on one connection.  Knows neither jobs nor Trio.

No caller gets a result before COMMIT has returned; if COMMIT fails, every caller gets the error.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs

from ..._core.errors import BackendUnavailable
from .._base import PATIENCE, Hint
from .hint_counters import HintCounters, QueueHints
from .queries import SQL
from .schema import patiently

#: A transaction takes no further request after so many seconds, so that no request waits long for the others.
_LONG: Final = 0.05

#: Seconds between two tries to get the lock.  SQLite's own waiting grows to 25 ms and more, and would rarely win the
#: lock from a process that commits back to back.
_LOCK_RETRY: Final = 0.0005


@attrs.frozen
class Transaction:
    """What a request works with."""

    db: sqlite3.Connection
    now: float
    queue_hints: QueueHints  #: the hints that this request gives, by queue

    def notify(self, hint: Hint, queue: str) -> None:
        """Give a hint, once the transaction is committed."""
        self.queue_hints[queue] = self.queue_hints.get(queue, Hint(0)) | hint


Work = Callable[[Transaction], Any]


@attrs.define(eq=False)
class Request:
    """One call of a verb, and its outcome."""

    work: Work
    writes: bool
    patience: float = PATIENCE  #: how long it may wait for the lock, in seconds
    result: Any = None
    error: BaseException | None = None
    waiter: Any = None  #: the task to wake with the answer; None while no task waits
    served: bool = False  #: whether there is an answer
    answered: bool = False  #: whether the answer has reached the event loop
    withdrawn: bool = False  #: whether it must never begin
    _fate: threading.Lock = attrs.field(init=False, factory=threading.Lock)  #: `begin` or `withdraw` takes it, once

    def begin(self) -> bool:
        """Begin, unless it was withdrawn; return whether it may.  It can't be withdrawn after that."""
        return self._fate.acquire(blocking=False)

    def withdraw(self) -> None:
        """Withdraw it, unless it has begun."""
        if self._fate.acquire(blocking=False):
            self.withdrawn = True

    def answer(self) -> Any:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result


class GroupCommit:
    """Runs requests on a connection, as its only user."""

    def __init__(
        self, db: sqlite3.Connection, path: str, clock: Callable[[], float], hint_counters: HintCounters
    ) -> None:
        self._db = db
        self._path = path
        self._file = _identity(path)
        self._clock = clock
        self._hint_counters = hint_counters
        self.hurry = False  #: set by another thread: wait for no lock any more

    def close(self) -> None:
        """Close the connection; the last one of a file folds the write-ahead log into it."""
        self._db.close()

    def serve(self, requests: Sequence[Request]) -> tuple[int, QueueHints]:
        """Run requests in one transaction; return how many were run, from the front, and the hints to send.

        Each request keeps its own error.
        """
        queue_hints: QueueHints = {}
        served = 0
        try:
            self._begin(requests)
            now = self._clock()
            late = time.monotonic() + _LONG
            for request in requests:
                served += 1
                self._run(request, now, queue_hints, alone=len(requests) == 1)
                if time.monotonic() > late:
                    break
            if queue_hints:
                self._hint_counters.bump(self._db, queue_hints)
            self._db.execute("COMMIT")
        except BaseException as error:  # noqa: ASYNC103  each request raises it, where it is waited for
            self._undo()
            served = served or len(requests)
            for request in requests[:served]:
                request.error = request.error or error
            return served, {}  # noqa: ASYNC104
        if queue_hints:
            self._hint_counters.committed()
        return served, queue_hints

    def _require_file(self) -> None:
        """Refuse a file that was deleted or replaced: SQLite would go on writing where no other process can read."""
        if _identity(self._path) != self._file:
            raise BackendUnavailable(
                f"{self._path} was deleted or replaced while it was open: nothing is written to what is left of it. "
                "Restart the programs that have it open"
            )

    def _begin(self, requests: Sequence[Request]) -> None:
        def begin() -> None:
            # Checked at each try: while this waits for the lock, the caller of every write may have left.
            if any(request.writes and not request.withdrawn for request in requests):
                self._require_file()
                self._db.execute("BEGIN IMMEDIATE")
                return
            self._db.execute("BEGIN")
            try:
                self._db.execute(SQL["snapshot"]).fetchall()
            except sqlite3.Error:
                self._undo()
                raise

        deadline = time.monotonic() + max(request.patience for request in requests)
        patiently(begin, lambda: not self.hurry and time.monotonic() < deadline, _LOCK_RETRY)

    def _run(self, request: Request, now: float, queue_hints: QueueHints, alone: bool) -> None:
        """Run one request; its error undoes only what it did.  A lone request is the whole transaction."""
        if not request.begin():
            return
        transaction = Transaction(self._db, now, {})
        guarded = request.writes and not alone
        if guarded:
            self._db.execute("SAVEPOINT request")
        try:
            request.result = request.work(transaction)
        except BaseException as error:  # noqa: ASYNC103  likewise
            request.error = error
            # A full disk ends the whole transaction: then no request was stored.
            if alone or not self._db.in_transaction:
                raise
            if guarded:
                self._db.execute("ROLLBACK TO request")
        if guarded:
            self._db.execute("RELEASE request")
        if request.error is None:
            for queue, hint in transaction.queue_hints.items():
                queue_hints[queue] = queue_hints.get(queue, Hint(0)) | hint

    def _undo(self) -> None:
        if self._db.in_transaction:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")


def _identity(path: str) -> tuple[int, int] | None:
    """Return which file the path leads to; None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
