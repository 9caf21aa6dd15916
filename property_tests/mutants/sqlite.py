"""Faults in the SQLite backend: in its statements, its tables and the Python around them."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_SQL: Final = "backends/sqlite/queries.sql"
_TABLES: Final = "backends/sqlite/migrations/0001_initial.sql"
_BACKEND: Final = "backends/sqlite/backend.py"
_STORE_CLIENT: Final = "backends/sqlite/writes.py"
_GROUP_COMMIT: Final = "backends/sqlite/group_commit.py"

MUTANTS: Final = (
    Mutant("a settle ignores the version", _SQL, "settle", "AND version = ?", "AND ? IS NOT NULL"),
    Mutant(
        "a settle ignores the seq, so it reaches a new job with the id of a removed one",
        _SQL,
        "settle",
        "WHERE seq = ?",
        "WHERE ? IS NOT NULL",
    ),
    Mutant(
        "a reclaim ignores that the lease was renewed", _SQL, "settle_lease", "AND lease_until = ?", "AND ? IS NOT NULL"
    ),
    Mutant(
        "a settle of many results ignores the version", _SQL, "settle_returned", "AND version = ?", "AND ? IS NOT NULL"
    ),
    Mutant(
        "a renewal ignores the run, so an earlier run extends the lease",
        _SQL,
        "renew",
        "AND run = ?",
        "AND ? IS NOT NULL",
    ),
    Mutant(
        "a job on its last life is claimed together with others",
        _SQL,
        "ready",
        "AND j.shelf = 'ready' AND j.crashes < j.max_crashes - 1 AND j.state",
        "AND j.shelf = 'ready' AND j.state",
    ),
    Mutant("the seq of a removed job is used again", _TABLES, "jobs", "AUTOINCREMENT", ""),
    Mutant(
        "a claim runs twice and the jobs of the first are forgotten",
        _BACKEND,
        "SQLiteBackend.claim",
        "self._write_deadlines.note(worker, lease)",
        "self._write_deadlines.note(worker, lease)\nawait self._read(work)",
    ),
    Mutant(
        "of two results for one job in a batch the last one is stored",
        _STORE_CLIENT,
        "_settle_alike",
        "jobs == len(changes) > 1",
        "len(changes) > 1",
    ),
    Mutant(
        "many results that are stored at once notify no watcher",
        _STORE_CLIENT,
        "_swap_alike",
        "tx.notify(_hint(first.state, was_held=False), first.queue)",
        "",
    ),
    Mutant("a composite change is stored in part", _STORE_CLIENT, "_settle", "tx.db.execute('ROLLBACK TO whole')", ""),
    Mutant(
        "the cancel of a held job notifies no worker",
        _STORE_CLIENT,
        "_hint",
        "Hint.FINISHED | Hint.CANCELLED if was_held else Hint.FINISHED",
        "Hint.FINISHED",
    ),
    Mutant(
        "the writes of a request that failed are committed with those of others",
        _GROUP_COMMIT,
        "GroupCommit._run",
        "self._db.execute('ROLLBACK TO request')",
        "pass",
    ),
    Mutant(
        "a request is answered although its transaction is undone",
        _GROUP_COMMIT,
        "GroupCommit.serve",
        "'COMMIT'",
        "'ROLLBACK'",
    ),
)
