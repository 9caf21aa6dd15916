"""Hints for other processes: counters in the file, and a wake file beside it that is touched after each commit.

``wakeup`` watches the wake file; ``_hints`` knows which watcher of this process receives which hint.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import MutableMapping
from typing import Final

from .._base import Hint
from .queries import SQL

_log: Final = logging.getLogger("trioq.sqlite")

_KINDS: Final = frozenset(hint.value for hint in Hint)

#: The hints to send, by queue.
QueueHints = MutableMapping[str, Hint]


class HintCounters:
    """The counters, as this process has last seen them.  Only the connection's thread uses them."""

    def __init__(self, path: str) -> None:
        self.wake_file = f"{path}.wake"
        self._seen: dict[tuple[str, int], int] = {}
        self._bumped: dict[tuple[str, int], int] = {}
        self._version: object = None

    def bump(self, db: sqlite3.Connection, queue_hints: QueueHints) -> None:
        """Count these hints, in the transaction that they are about."""
        self._bumped = {}
        for queue, hints in queue_hints.items():
            for hint in hints:
                (count,) = db.execute(SQL["bump"], (queue, hint.value)).fetchone()
                self._bumped[queue, hint.value] = count

    def committed(self) -> None:
        """Wake the other processes.

        This one notifies its own watchers, which also covers what others had counted of the same hints before.
        """
        self._seen.update(self._bumped)
        try:
            os.utime(self.wake_file)
        except FileNotFoundError:
            make_wake_file(self.wake_file)
        except OSError as error:
            _log.debug("cannot touch %s: %s", self.wake_file, error)

    def new_hints(self, db: sqlite3.Connection) -> QueueHints:
        """Return what other processes have counted since the last call."""
        queue_hints: QueueHints = {}
        version = db.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return queue_hints
        self._version = version
        for queue, kind, count in db.execute(SQL["bells"]).fetchall():
            if count != self._seen.get((queue, kind)):
                self._seen[queue, kind] = count
                if kind in _KINDS:  # a newer trioq may have others
                    queue_hints[queue] = queue_hints.get(queue, Hint(0)) | Hint(kind)
        return queue_hints


def make_wake_file(path: str) -> None:
    """Create the wake file, for all who may use the database."""
    try:
        mode = os.stat(path.removesuffix(".wake")).st_mode & 0o666
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, mode))
        os.utime(path)
    except OSError as error:
        _log.debug("cannot make %s: %s", path, error)
