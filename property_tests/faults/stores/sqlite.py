"""SQLite: a file for each trial, in the trial's folder, flushed at each commit unless it is told otherwise."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from trioq import SQLiteBackend

from .store import Store


class Files(Store):
    """There is no server: the folder of a trial is all there is."""

    kind: ClassVar[str] = "sqlite"

    def __init__(self, synchronous: str = "FULL") -> None:
        self.synchronous = synchronous

    def address(self, folder: Path, *, port: int | None = None) -> list[str]:
        return [self.kind, str(folder / "jobs.db"), self.synchronous]

    def is_locked(self, folder: Path) -> bool:
        with closing(sqlite3.connect(folder / "jobs.db", timeout=0, isolation_level=None)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            db.execute("ROLLBACK")
            return False

    def close(self) -> None:
        """Nothing: the trial drops its folder."""


def open_backend(path: str, synchronous: str) -> SQLiteBackend:
    """What a process opens."""
    return SQLiteBackend(path, synchronous=synchronous)
