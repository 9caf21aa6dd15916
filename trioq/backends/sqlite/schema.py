"""Opening a file: whose it is, which layout it has, and the migrations up to this one.  No job is touched here."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from typing import Final

from ..._core.errors import BackendError, NotATrioqDatabase, SchemaTooNew
from .._base import PATIENCE
from .errors import is_busy

#: "trio" in ASCII: marks a file as trioq's.
APPLICATION_ID: Final = 0x7472696F

#: Negative: KiB.  The indexes that a claim and a settle touch stay in memory.
_CACHE: Final = -32_000

#: A write-ahead log that grew beyond this is cut down again, in bytes.
_LOG_LIMIT: Final = 64 * 2**20

_RETRY: Final = 0.01

#: The oldest SQLite with RETURNING, STRICT, and JSON without a compile-time option.
_OLDEST: Final = (3, 38)


def migrations() -> list[tuple[int, str]]:
    """Each migration's number and script, in order."""
    scripts = (entry for entry in files(__package__).joinpath("migrations").iterdir() if entry.name.endswith(".sql"))
    return sorted((int(script.name[:4]), script.read_text(encoding="utf-8")) for script in scripts)


#: The layout that this trioq reads and writes.
LAYOUT: Final = migrations()[-1][0]


def open_database(database: str, path: str, synchronous: str) -> sqlite3.Connection:
    """Open a connection to a database of this layout.  *database* is a path or a ``file:`` URI; messages show *path*.

    A file that isn't trioq's, or is newer, stays untouched.  Any number of processes may create or migrate it at once.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise BackendError(f"SQLite {sqlite3.sqlite_version} is too old: trioq needs 3.38. Use a newer Python build")
    _require_folder(path)
    is_uri = database.startswith("file:")
    # One thread uses it at a time, but what a run left open may be closed from the thread of the next run.
    db = sqlite3.connect(
        database, isolation_level=None, uri=is_uri, timeout=0, cached_statements=256, check_same_thread=False
    )
    try:
        deadline = time.monotonic() + PATIENCE
        # The settings are tried again, too: some read the file.
        for attempt in (partial(_prepare, db, path), partial(_set, db, synchronous)):
            patiently(attempt, lambda: time.monotonic() < deadline, _RETRY)
    except BaseException:
        db.close()
        raise
    return db


def patiently(attempt: Callable[[], None], go_on: Callable[[], bool], pause: float) -> None:
    """Try until no other process holds the lock, for as long as *go_on* says so."""
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or not go_on():
                raise
        time.sleep(pause)


def _require_folder(path: str) -> None:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise BackendError(f"{path} can't be created: there is no folder {folder}. Create it first")
    if os.path.isdir(path):
        raise BackendError(f"{path} is a folder. Name a file in it")


def _prepare(db: sqlite3.Connection, path: str) -> None:
    found = _layout_of(db, path)
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if found == LAYOUT and is_busy(error):
            return  # another process writes all the time, so it can be written; and there is nothing to make
        raise
    try:
        found = _layout_of(db, path)  # again: another process may have been quicker
        for number, script in migrations():
            if number > found:
                for statement in _split(script):
                    db.execute(statement)
        # Also where nothing was missing: a read-only file fails here, and not at BEGIN.
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {LAYOUT}")
        db.execute("COMMIT" if found < LAYOUT else "ROLLBACK")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    if db.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise BackendError(f"{path}: the file system has no write-ahead log. Put the file on a local disk")


def _set(db: sqlite3.Connection, synchronous: str) -> None:
    db.execute(f"PRAGMA synchronous = {synchronous}")
    # On macOS an fsync stops at the drive's cache, unless it is asked to be full; elsewhere these do nothing.
    db.execute(f"PRAGMA fullfsync = {synchronous == 'FULL'}")
    db.execute(f"PRAGMA checkpoint_fullfsync = {synchronous == 'FULL'}")
    db.execute(f"PRAGMA cache_size = {_CACHE}")
    db.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")
    # Some builds overwrite what is deleted with zeros, which doubles the writes of a settle.
    db.execute("PRAGMA secure_delete = OFF")
    db.execute("PRAGMA temp_store = MEMORY")
    # A damaged text must not make its neighbours unreadable.
    db.text_factory = partial(str, encoding="utf-8", errors="replace")


def _layout_of(db: sqlite3.Connection, path: str) -> int:
    """Return the number of the file's layout; 0 for an empty file."""
    (owner,) = db.execute("PRAGMA application_id").fetchone()
    (found,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (owner or tables):
        raise NotATrioqDatabase(path, "it belongs to another program: it has no mark of trioq's")
    if found > LAYOUT:
        raise SchemaTooNew(path, found, LAYOUT)
    return int(found)


def _split(script: str) -> Iterator[str]:
    """Yield the statements of a script, one by one: ``executescript`` would commit between them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
