"""Faults in the SQLite backend: in its statements, its layout, and the Python around them."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_SQL: Final = "backends/sqlite/queries.sql"
_LAYOUT: Final = "backends/sqlite/migrations/0001_initial.sql"
_STORE: Final = "backends/sqlite/store.py"
_COMMIT: Final = "backends/sqlite/commit.py"
_ROWS: Final = "backends/sqlite/rows.py"
_RECORDS: Final = "backends/sqlite/records.py"

MUTANTS: Final = (
    # --- the statements ---
    Mutant(
        "a settle ignores the version",
        _SQL,
        "-- Compare and swap.\nUPDATE jobs SET {assignments} WHERE seq = ? AND queue = ? AND id = ? AND version = ?;",
        "-- Compare and swap.\nUPDATE jobs SET {assignments} WHERE seq = ? AND queue = ? AND id = ? AND ? IS NOT NULL;",
    ),
    Mutant(
        "a settle ignores the seq: a removed job's writer hits the new one of its id",
        _SQL,
        "-- Compare and swap.\nUPDATE jobs SET {assignments} WHERE seq = ? AND",
        "-- Compare and swap.\nUPDATE jobs SET {assignments} WHERE ? IS NOT NULL AND",
    ),
    Mutant(
        "a reclaim ignores that the lease was renewed",
        _SQL,
        "AND version = ? AND lease_until = ?;",
        "AND version = ? AND ? IS NOT NULL;",
    ),
    Mutant(
        "many that returned at once are settled whatever their version",
        _SQL,
        "AND jobs.id = value ->> 1 AND queue = ? AND version = ?;",
        "AND jobs.id = value ->> 1 AND queue = ? AND ? IS NOT NULL;",
    ),
    Mutant(
        "many that returned at once get the first one's result",
        _SQL,
        "result = substr(?, value ->> 2, value ->> 3)",
        "result = substr(?, 1, value ->> 3)",
    ),
    Mutant(
        "a renewal ignores the run: a stale owner revives its lease",
        _SQL,
        "WHERE queue = ? AND id = ? AND run = ? AND shelf = 'held';",
        "WHERE queue = ? AND id = ? AND ? IS NOT NULL AND shelf = 'held';",
    ),
    Mutant(
        "a renewal forgets to extend the lease",
        _SQL,
        "UPDATE jobs SET lease_until = ?, progress",
        "UPDATE jobs SET lease_until = coalesce(lease_until, ?), progress",
    ),
    Mutant(
        "a renewal without progress wipes the one before",
        _SQL,
        "progress = coalesce(?, progress)",
        "progress = ?",
    ),
    Mutant(
        "a renewal reaches the job of another queue",
        _SQL,
        "WHERE queue = ? AND id = ? AND run = ? AND shelf = 'held';",
        "WHERE queue >= ? AND id = ? AND run = ? AND shelf = 'held';",
    ),
    Mutant(
        "a claim counts no run",
        _SQL,
        "version = version + 1, run = run + 1, worker",
        "version = version + 1, worker",
    ),
    Mutant(
        "a claim leaves the version",
        _SQL,
        "shelf = 'held', version = version + 1, run",
        "shelf = 'held', run",
    ),
    Mutant(
        "a claimed job lies on the ready shelf",
        _SQL,
        "SET state = 'active', shelf = 'held', version = version + 1, run = run + 1, worker = ?, lease_until = ?,",
        "SET state = 'active', version = version + 1, run = run + 1, worker = ?, lease_until = iif(? > 0, NULL, NULL),",
    ),
    Mutant(
        "a claim goes by age and not by priority",
        _SQL,
        "ORDER BY j.priority, j.run_at, j.seq LIMIT ?;",
        "ORDER BY j.run_at, j.seq LIMIT ?;",
    ),
    Mutant(
        "a claim serves the largest priority first",
        _SQL,
        "ORDER BY j.priority, j.run_at, j.seq LIMIT ?;",
        "ORDER BY j.priority DESC, j.run_at, j.seq LIMIT ?;",
    ),
    Mutant(
        "a poison pill is not isolated: it is claimed with the others",
        _SQL,
        "AND j.shelf = 'ready' AND j.crashes < j.max_crashes - 1 AND j.state",
        "AND j.shelf = 'ready' AND j.state",
    ),
    Mutant(
        "a job is on its last life one crash too late",
        _SQL,
        "AND j.shelf = 'ready' AND j.crashes >= j.max_crashes - 1 AND j.state",
        "AND j.shelf = 'ready' AND j.crashes >= j.max_crashes AND j.state",
    ),
    Mutant(
        "a poison pill that isn't ready is told of",
        _SQL,
        "WHERE queue = ? AND shelf = 'ready' AND crashes >= max_crashes - 1 AND state",
        "WHERE queue = ? AND crashes >= max_crashes - 1 AND state",
    ),
    Mutant("due jobs are promoted a moment late", _SQL, "AND run_at <= ? ORDER BY", "AND run_at < ? ORDER BY"),
    Mutant("every timed job is promoted, due or not", _SQL, "AND run_at <= ? ORDER BY", "AND ? > 0 ORDER BY"),
    Mutant(
        "a promoted job forgets its run_at",
        _SQL,
        "UPDATE jobs SET shelf = 'ready' WHERE seq IN (",
        "UPDATE jobs SET shelf = 'ready', run_at = created_at WHERE seq IN (",
    ),
    Mutant(
        "a promoted job changes its state",
        _SQL,
        "SET shelf = 'ready' WHERE",
        "SET shelf = 'ready', state = 'waiting' WHERE",
    ),
    Mutant(
        "next_due is the latest and not the next", _SQL, "SELECT min(run_at) FROM jobs", "SELECT max(run_at) FROM jobs"
    ),
    Mutant(
        "a lease is overdue a moment late",
        _SQL,
        "WHERE j.shelf = 'held' AND j.lease_until <= ?",
        "WHERE j.shelf = 'held' AND j.lease_until < ?",
    ),
    Mutant(
        "running jobs expire as well",
        _SQL,
        "j.shelf IN ('ready', 'timed') AND j.expires_at <= ?\n    AND j.state IN ('waiting', 'delayed')",
        "j.shelf IN ('ready', 'timed', 'held') AND j.expires_at <= ?\n    AND j.state <> 'blocked'",
    ),
    Mutant(
        "delayed jobs never expire",
        _SQL,
        "j.shelf IN ('ready', 'timed') AND j.expires_at <= ?",
        "j.shelf IN ('ready') AND j.expires_at <= ?",
    ),
    Mutant(
        "a lease that a worker holds is not named",
        _SQL,
        "WHERE shelf = 'held' AND worker = ?;",
        "WHERE shelf = 'parked' AND worker = ?;",
    ),
    Mutant("an active job can be removed", _SQL, "AND id = ? AND shelf <> 'held';", "AND id = ?;"),
    Mutant(
        "a resume resumes every queue", _SQL, "DELETE FROM paused WHERE queue = ?;", "DELETE FROM paused WHERE ? > '';"
    ),
    Mutant(
        "prune drops what was requeued",
        _SQL,
        "WHERE queue = ? AND state = ? AND shelf = 'final' AND finished_at <= ? ORDER BY",
        "WHERE queue = ? AND state = ? AND shelf = 'final' AND finished_at >= ? ORDER BY",
    ),
    Mutant(
        "a page begins with the last record of the one before",
        _SQL,
        "WHERE j.seq > ? AND j.seq <= ?",
        "WHERE j.seq >= ? AND j.seq <= ?",
    ),
    Mutant(
        "a worker counts as there long after its lease",
        _SQL,
        "FROM workers WHERE until > ? ORDER",
        "FROM workers WHERE until + 60 > ? ORDER",
    ),
    # --- the layout ---
    Mutant("seqs are used again", _LAYOUT, "INTEGER PRIMARY KEY AUTOINCREMENT,", "INTEGER PRIMARY KEY,"),
    Mutant(
        "a unique key is unique among ended jobs, too",
        _LAYOUT,
        "WHERE unique_key IS NOT NULL AND shelf <> 'final';",
        "WHERE unique_key IS NOT NULL;",
    ),
    Mutant(
        "a unique key is unique across queues",
        _LAYOUT,
        "jobs_live_key ON jobs (queue, unique_key)",
        "jobs_live_key ON jobs (unique_key)",
    ),
    # --- the Python around them ---
    Mutant(
        "a claim is made twice, and what the first one took is forgotten",
        "backends/sqlite/backend.py",
        "        return await self._write(work, lease)\n\n    async def settle",
        "        await self._read(work)\n        return await self._write(work, lease)\n\n    async def settle",
    ),
    Mutant(
        "a claim ignores a pause",
        _STORE,
        "for queue in dict.fromkeys(queues) if queue not in closed]",
        "for queue in dict.fromkeys(queues)]",
    ),
    Mutant(
        "a poison pill is not isolated: it goes to a busy worker",
        _STORE,
        "if idle and limit > 0 else []",
        "if limit > 0 else []",
    ),
    Mutant("a waiting poison pill is not told of", _STORE, "last_life=any(", "last_life=not all("),
    Mutant(
        "the reply to a claim says another lease than the store",
        _STORE,
        '            "lease_until": until,\n            "started_at"',
        '            "lease_until": now,\n            "started_at"',
    ),
    Mutant("a claim fills its limit from each queue", _STORE, "(queue, limit - len(found))", "(queue, limit)"),
    Mutant(
        "a repeated write is called stale",
        _STORE,
        "return (Verdict.STORED if repeated else Verdict.STALE), repeated",
        "return Verdict.STALE, repeated",
    ),
    Mutant(
        "every write that comes too late is called stored",
        _STORE,
        "repeated = row == tuple(kept.values())",
        "repeated = row is not None",
    ),
    Mutant(
        "of two results for one job the last one wins",
        _STORE,
        "    if jobs == len(changes) > 1 and",
        "    if len(changes) > 1 and",
    ),
    Mutant(
        "many that returned at once ring for nobody",
        _STORE,
        "    if swapped:\n        tx.ring(_hint(first.state, was_held=False), first.queue)\n",
        "",
    ),
    Mutant(
        "a change of several parts is stored half",
        _STORE,
        '        tx.db.execute("ROLLBACK TO whole")\n',
        "",
    ),
    Mutant(
        "a composite change forgets its new jobs",
        _STORE,
        "    added = insert(tx, change.inserts)\n",
        "    added = insert(tx, ())\n",
    ),
    Mutant(
        "a cancelled job's lease is called reclaimed",
        _STORE,
        "return Loss.CANCELLED if row == (State.CANCELLED.value, lease.run) else Loss.RECLAIMED",
        "return Loss.RECLAIMED",
    ),
    Mutant(
        "the cancel of a held job rings for nobody",
        _STORE,
        "return Hint.FINISHED | Hint.CANCELLED if was_held else Hint.FINISHED",
        "return Hint.FINISHED",
    ),
    Mutant(
        "what one request did wrong stays in the transaction of its neighbours",
        _COMMIT,
        '                self._db.execute("ROLLBACK TO request")\n',
        "                pass\n",
    ),
    Mutant(
        "an answer is given before the commit, and the commit undone",
        _COMMIT,
        '            self._db.execute("COMMIT")\n',
        '            self._db.execute("ROLLBACK")\n',
    ),
    Mutant(
        "a step leaves the shelf",
        _ROWS,
        '            names.append("shelf")\n            values.append(_SHELVES[value])\n',
        "",
    ),
    Mutant(
        "progress is not noted with a step",
        _ROWS,
        "            value = pack_progress(value)\n",
        "            continue\n",
    ),
    Mutant("options of a newer trioq get lost", _ROWS, "fields.update(wire.unpack(options))", "wire.unpack(options)"),
)
