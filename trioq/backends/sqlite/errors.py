"""SQLite's errors as trioq's, by a table.  The errors themselves are defined in the core."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from ..._core.errors import BackendError, BackendUnavailable, NotATrioqDatabase, TrioqError, refusal

#: Primary result codes after which a repetition may help.
_UNAVAILABLE: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_BUSY: "another process holds its lock",
    sqlite3.SQLITE_LOCKED: "another connection holds its lock",
    sqlite3.SQLITE_PROTOCOL: "its locks are contended",
    sqlite3.SQLITE_FULL: "the disk is full, and nothing was half-written; make room",
    sqlite3.SQLITE_IOERR: "the disk failed, or a limit on file sizes was reached",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened (permissions, a missing folder, or too many open files)",
}

#: Primary result codes after which a repetition won't help.
_REFUSED: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_READONLY: "it is read-only. Open it without mode=ro, on a file system that can be written",
    sqlite3.SQLITE_CORRUPT: "the file is damaged. Restore it from a backup",
    sqlite3.SQLITE_CONSTRAINT: "the record breaks a rule of the layout",
    sqlite3.SQLITE_TOOBIG: "a value is too big",
}


def primary_code(error: BaseException) -> int:
    """Return SQLite's primary result code; 0 where the error isn't SQLite's."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def is_busy(error: BaseException) -> bool:
    """Whether another connection holds a lock, for the time being."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def takes_key(error: sqlite3.IntegrityError) -> bool:
    """Whether the statement failed because a unique key is held by another job."""
    return error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE


def translate(error: BaseException, path: str) -> BaseException:
    """Return the error that the caller gets.  Raise it ``from`` *error*."""
    if isinstance(error, TrioqError) or not isinstance(error, Exception):
        return error
    code = primary_code(error)
    if code == sqlite3.SQLITE_NOTADB:
        return NotATrioqDatabase(path, "it is no SQLite database")
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return refusal(f"{path}: a trigger of the owner's refuses it ({error})")
    if code in _UNAVAILABLE:
        return BackendUnavailable(f"{path}: {_UNAVAILABLE[code]} ({error})")
    why = _REFUSED.get(code, "the request was refused")
    return BackendError(f"{path}: {why} ({type(error).__name__}: {error})")
