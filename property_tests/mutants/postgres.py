"""Faults in the PostgreSQL backend: in its statements, and the Python around them."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_SQL: Final = "backends/postgres/queries.sql"
_TABLES: Final = "backends/postgres/migrations/0001_initial.sql"
_QUERIES: Final = "backends/postgres/queries.py"
_MOVES: Final = "backends/postgres/moves.py"
_SETTLE: Final = "backends/postgres/settle.py"
_LOOKS: Final = "backends/postgres/looks.py"
_ROWS: Final = "backends/postgres/rows.py"
_LAYOUT: Final = "backends/postgres/layout.py"
_BACKEND: Final = "backends/postgres/backend.py"
_ANNOUNCER: Final = "backends/postgres/announcer.py"
_LISTENER: Final = "backends/postgres/listener.py"
_OFFICE: Final = "backends/postgres/office.py"
_ERRORS: Final = "backends/postgres/errors.py"
_CONNECTION: Final = "backends/postgres/connection.py"

MUTANTS: Final = (
    # --- insert ---
    Mutant(
        "two inserts of the same keys wait for each other in a circle",
        _SQL,
        "    ORDER BY unique_key, queue, id\n",
        "    ORDER BY n\n",
    ),
    Mutant(
        "a job that is not due yet lies among the ready ones",
        _SQL,
        "CASE WHEN run_at > now THEN 'timed' ELSE 'ready' END",
        "CASE WHEN run_at > now + 1e9 THEN 'timed' ELSE 'ready' END",
    ),
    Mutant(
        "a run_at in the past makes a job older than those before it",
        _SQL,
        "coalesce(now + delay, greatest(now, asked_at))",
        "coalesce(now + delay, asked_at)",
    ),
    Mutant(
        "a refused job answers whoever has its key before whoever has its id",
        _SQL,
        "ORDER BY rank LIMIT 1",
        "ORDER BY rank DESC LIMIT 1",
    ),
    Mutant(
        "a job that shares its key with one before it is inserted beside it",
        _MOVES,
        'names.add(("key", job.queue, job.unique_key))',
        "pass",
    ),
    Mutant("seqs come in another order than the jobs", _SQL, "ORDER BY n) AS given", "ORDER BY n DESC) AS given"),
    Mutant(
        "an insert gives no hint",
        _SQL,
        "FROM (SELECT DISTINCT queue FROM created) AS queues WHERE %(notifies)s",
        "FROM (SELECT DISTINCT queue FROM created) AS queues WHERE %(notifies)s AND false",
    ),
    # --- claim ---
    Mutant(
        "a claim waits for whoever works on the first job",
        _SQL,
        "LIMIT (SELECT most FROM allowed) FOR UPDATE SKIP LOCKED",
        "LIMIT (SELECT most FROM allowed) FOR UPDATE",
    ),
    Mutant(
        "two claims at once take the same jobs",
        _SQL,
        "LIMIT (SELECT most FROM allowed) FOR UPDATE SKIP LOCKED",
        "LIMIT (SELECT most FROM allowed)",
    ),
    Mutant(
        "priority does not count",
        _SQL,
        "ORDER BY priority, run_at, seq LIMIT (SELECT most FROM allowed)",
        "ORDER BY run_at, seq LIMIT (SELECT most FROM allowed)",
    ),
    Mutant(
        "jobs are answered in another order than they are due to run",
        _SQL,
        "j.queue), j.priority, j.run_at, j.seq;",
        "j.queue), j.seq;",
    ),
    Mutant(
        "the queues are served by their names",
        _QUERIES,
        "ORDER BY a.place",
        "ORDER BY a.queue",
    ),
    Mutant(
        "a paused queue hands out",
        _QUERIES,
        '"WHERE NOT EXISTS (SELECT FROM {paused} AS p WHERE p.queue = a.queue) ORDER BY',
        '"ORDER BY',
    ),
    Mutant(
        "a queue that somebody paused is not named",
        _SQL,
        "ARRAY(SELECT queue FROM {paused} WHERE queue = ANY ({queues}))",
        "ARRAY(SELECT queue FROM {paused} WHERE false AND queue = ANY ({queues}))",
    ),
    Mutant(
        "a claim takes ready jobs before those that came due",
        _SQL,
        "CASE WHEN next_due <= now AND NOT %(promoted)s THEN 0 ELSE %(limit)s END",
        "CASE WHEN %(promoted)s THEN %(limit)s ELSE %(limit)s END",
    ),
    Mutant(
        "of due jobs the latest join the ready ones first",
        _SQL,
        "ORDER BY run_at, seq LIMIT %(promotions)s FOR UPDATE SKIP LOCKED",
        "ORDER BY run_at DESC, seq LIMIT %(promotions)s FOR UPDATE SKIP LOCKED",
    ),
    Mutant(
        "each queue promotes as many jobs as all together may",
        _SQL,
        "    ) AS found\n    LIMIT %(promotions)s\n",
        "    ) AS found\n",
    ),
    Mutant(
        "a last-life job goes to a busy worker",
        _SQL,
        "    WHERE %(idle)s\n",
        "    WHERE %(idle)s OR true\n",
    ),
    Mutant(
        "a last-life job is not alone",
        _SQL,
        "    WHERE NOT EXISTS (SELECT FROM frail)\n",
        "",
    ),
    Mutant(
        "the last-life job that was handed out still waits",
        _SQL,
        " AND NOT EXISTS (SELECT FROM frail WHERE frail.seq = j.seq)",
        "",
    ),
    Mutant(
        "a claim of none takes a last-life job",
        _SQL,
        "LIMIT least(1, (SELECT most FROM allowed))",
        "LIMIT 1",
    ),
    Mutant("a claim does not count the run", _SQL, "run = j.run + 1", "run = j.run"),
    Mutant(
        "a state that a newer trioq wrote is claimed",
        _SQL,
        "            AND state IN ('waiting', 'delayed')\n        ORDER BY priority, run_at, seq LIMIT (SELECT",
        "        ORDER BY priority, run_at, seq LIMIT (SELECT",
    ),
    # --- settle ---
    Mutant(
        "a settle ignores the version", _SQL, "AND j.id = given.id AND j.version = given.was", "AND j.id = given.id"
    ),
    Mutant(
        "a reclaim ignores that the lease was renewed",
        _SQL,
        "        AND (given.leased IS NULL OR j.lease_until = given.leased)\n",
        "",
    ),
    Mutant(
        "a requeue takes the key of a live job",
        _TABLES,
        "CREATE UNIQUE INDEX jobs_live_key",
        "CREATE INDEX jobs_live_key",
    ),
    Mutant(
        "what one requeue of a batch has taken fails the others",
        _SETTLE,
        "            if len(batch) > 1:\n",
        "            if len(batch) < 0:\n",
    ),
    Mutant(
        "two settles of the same jobs wait for each other in a circle",
        _SETTLE,
        "sorted(changes, key=lambda placed: placed[1].seq)",
        "list(changes)",
    ),
    Mutant("a repeated write is called stale", _SETTLE, "    if is_stored(change, job):\n", "    if False:\n"),
    Mutant(
        "every write that comes too late is called stored",
        _ROWS,
        "return all(record[name] == value for name, value in change.fields.items())",
        "return True",
    ),
    Mutant(
        "a second step of one job in a batch is lost",
        _SETTLE,
        "if job is not None and job.version == change.version:\n                    left",
        "if False:\n                    left",
    ),
    Mutant(
        "a composite change is stored half",
        _SETTLE,
        "            async with self._session.transaction():\n    "
        "            rings = await self._store_parts(change)\n",
        "            rings = await self._store_parts(change)\n",
    ),
    Mutant(
        "what is stored in part passes for stored",
        _SETTLE,
        "            if rings:\n                raise _NotStored(Verdict.STALE)\n",
        "",
    ),
    Mutant(
        "a composite change forgets its new jobs",
        _SETTLE,
        "added, news = await insert(self._session, change.inserts)",
        "added, news = await insert(self._session, ())",
    ),
    Mutant(
        "what a change clears stays",
        _QUERIES,
        "CASE WHEN given.cleared & {CLEARED[name]} = 0 THEN {kept} END",
        "{kept}",
    ),
    Mutant(
        "an error is cut at its first NUL",
        _ROWS,
        'return value.encode(errors="surrogatepass")',
        'return value.partition("\\0")[0].encode(errors="surrogatepass")',
    ),
    Mutant(
        "cancelling a held job gives its worker no hint",
        _SETTLE,
        "_BITS[State.CANCELLED] |= Hint.CANCELLED.value\n",
        "",
    ),
    # --- renew, overdue ---
    Mutant(
        "a renewal revives a run that is over",
        _SQL,
        "j.shelf = 'held' AND j.run = listed.run AS kept",
        "j.shelf = 'held' AS kept",
    ),
    Mutant("a renewal without progress forgets the last", _SQL, "'base64'), j.progress)", "'base64'))"),
    Mutant(
        "a renewal and a settle wait for each other in a circle",
        _SQL,
        "    ORDER BY j.seq FOR UPDATE OF j\n",
        "    ORDER BY listed.n FOR UPDATE OF j\n",
    ),
    Mutant(
        "a cancelled lease is called reclaimed",
        _MOVES,
        "return Loss.CANCELLED if found[1:]",
        "return Loss.RECLAIMED if found[1:]",
    ),
    Mutant(
        "the leases that were not listed are not named",
        _SQL,
        "FROM {jobs} WHERE shelf = 'held' AND worker = %(worker)s;",
        "FROM {jobs} WHERE false AND shelf = 'held' AND worker = %(worker)s;",
    ),
    Mutant(
        "a worker is listed long after it has gone",
        _SQL,
        "WHERE until > now ORDER BY worker",
        "WHERE until > now - 1e6 ORDER BY worker",
    ),
    Mutant("a lease is overdue before its time", _SQL, "j.lease_until <= now AND", "j.lease_until <= now + 30 AND"),
    Mutant(
        "what ran out of time in a paused queue is not overdue",
        _SQL,
        "j.expires_at <= (SELECT now FROM clock)\n",
        "j.expires_at <= (SELECT now FROM clock) AND j.queue NOT IN (SELECT queue FROM {paused})\n",
    ),
    # --- looks, tidying ---
    Mutant("a page forgets where it ended", _LOOKS, "jobs[-1].seq if jobs else start", "last if jobs else start"),
    Mutant("a short page is taken for the last", _LOOKS, "last if looked == PAGE else None", "None"),
    Mutant(
        "jobs on their last life are not counted",
        _SQL,
        "WHERE queue = %(queue)s AND shelf = 'ready' AND crashes >= max_crashes - 1 GROUP",
        "WHERE queue = %(queue)s AND shelf = 'ready' AND crashes > max_crashes GROUP",
    ),
    Mutant("only the first queue is named", _QUERIES, "WHERE j.queue > named.queue", "WHERE j.queue < named.queue"),
    Mutant(
        "an active job can be removed",
        _SQL,
        "WHERE j.shelf <> 'held' ORDER BY j.seq FOR UPDATE OF j",
        "ORDER BY j.seq FOR UPDATE OF j",
    ),
    Mutant(
        "prune waits for whoever works on an ended job",
        _SQL,
        "WHERE j.finished_at IS NOT NULL FOR UPDATE OF j SKIP LOCKED",
        "WHERE j.finished_at IS NOT NULL FOR UPDATE OF j",
    ),
    Mutant("prune ignores how many there may be", _SQL, "OR oldest.place <= counted.excess", ""),
    Mutant(
        "prune counts from the newest",
        _SQL,
        "OVER (ORDER BY finished_at, seq)",
        "OVER (ORDER BY finished_at DESC, seq DESC)",
    ),
    Mutant(
        "prune drops more than its batch",
        _SQL,
        "OR oldest.place <= counted.excess)\n    LIMIT %(batch)s\n",
        "OR oldest.place <= counted.excess)\n",
    ),
    # --- around them ---
    Mutant(
        "a plan may read all jobs",
        _SQL,
        "                SELECT o.seq FROM {jobs} AS o\n"
        "                WHERE o.queue = j.queue AND o.unique_key = j.unique_key AND o.shelf <> 'final' LIMIT 1\n"
        "            ) IS NULL\n",
        "                NOT EXISTS (SELECT o.seq FROM {jobs} AS o\n"
        "                WHERE o.queue = j.queue AND o.unique_key = j.unique_key AND o.shelf <> 'final')\n"
        "            )\n",
    ),
    Mutant(
        "what is the default isolation here counts",
        _BACKEND,
        "execute(_PLANNING + _READ_COMMITTED)",
        "execute(_PLANNING)",
    ),
    Mutant(
        "a percent sign in the schema's name breaks each statement",
        _QUERIES,
        '(prefix + name).replace("%", "%%")',
        "(prefix + name)",
    ),
    Mutant(
        "a percent sign in the schema's name breaks each hint",
        _QUERIES,
        """.replace("'", "''").replace("%", "%%")""",
        """.replace("'", "''")""",
    ),
    Mutant(
        "two migrations at once both make the tables",
        _LAYOUT,
        "        await connection.execute(_LOCK, (_LOCK_NUMBER, schema))\n",
        "",
    ),
    Mutant(
        "a newer layout is migrated to ours",
        _LAYOUT,
        "        if found > LAYOUT:\n            raise SchemaTooNew(where, found, LAYOUT)\n        for",
        "        for",
    ),
    Mutant("opening a store without tables goes well", _LAYOUT, "if found is None or found < LAYOUT:", "if False:"),
    Mutant(
        "an insert within a transaction needs none", _BACKEND, "if connection.autocommit and not", "if False and not"
    ),
    Mutant(
        "the process that commits a transaction of its user's hears no hint",
        _BACKEND,
        'attrs.evolve(self._terms, sender="within")',
        "self._terms",
    ),
    Mutant(
        "each commit gives hints",
        _ANNOUNCER,
        "        if trio.current_time() < self._quiet_until:\n            return None\n",
        "",
    ),
    Mutant(
        "no commit gives a hint itself",
        _ANNOUNCER,
        "        if trio.current_time() < self._quiet_until:\n            return None\n",
        "        return None\n",
    ),
    Mutant(
        "what was held back is never told",
        _ANNOUNCER,
        "            nursery.start_soon(self._send_later)\n",
        "",
    ),
    Mutant(
        "a commit that carries what was held back forgets it",
        _BACKEND,
        "carried=messages)",
        "carried=())",
    ),
    Mutant(
        "what a commit that failed was to carry is forgotten",
        _BACKEND,
        "            self._announcer.later(carried or {}, self._office.nursery)\n",
        "",
    ),
    Mutant(
        "what was held back dies with the backend",
        _BACKEND,
        "        with trio.move_on_after(_LAST_WORDS):\n            await self._announcer.send()\n",
        "",
    ),
    # --- connections ---
    Mutant(
        "a write to postgresql that has left is cancelled like a read",
        "backends/_office.py",
        "with trio.move_on_after(patience - self._time_to_end, shield=True) as waiting:",
        "with trio.move_on_after(patience - self._time_to_end) as waiting:",
    ),
    Mutant(
        "a write waits for a turn of the loop where a connection is at hand",
        "backends/_office.py",
        "        if patience >= PATIENCE or not self._time_to_end:\n",
        "        if not self._time_to_end:\n",
    ),
    Mutant(
        "a short lease cuts short what a slow server stores",
        "backends/_office.py",
        "        if patience >= PATIENCE or not self._time_to_end:\n",
        "        if True:\n",
    ),
    Mutant(
        "a server that stands still has longer than the request",
        "backends/_office.py",
        "with trio.move_on_after(patience - self._time_to_end, shield=True)",
        "with trio.move_on_after(patience, shield=True)",
    ),
    Mutant(
        "a write goes on while the backend is closed",
        "backends/_office.py",
        "            write.cancel()\n",
        "            pass\n",
    ),
    Mutant(
        "a backend is closed before its last write is over",
        "backends/_office.py",
        "        while self._here:\n            await self._left_here.wait()\n",
        "        await trio.lowlevel.checkpoint()\n",
    ),
    Mutant("our own hints ring again", _LISTENER, "if sender != self._me:", "if True:"),
    Mutant(
        "whoever has a pooler's connection after us hears of each job",
        _LISTENER,
        'mine = f"{self._channel}:{self._me}"',
        "mine = self._channel",
    ),
    Mutant(
        "each watcher waits for hints that never come",
        _LISTENER,
        "                self._tried.set()\n                self._proven_until = -inf\n",
        "                self._proven_until = -inf\n",
    ),
    Mutant(
        "what we set stays behind at a pooler", _BACKEND, "if process == connection.info.backend_pid:", "if process:"
    ),
    Mutant(
        "works that collide are not done again",
        _OFFICE,
        "return code in ROLLED_BACK or code in UNPREPARED or code == OUTDATED",
        "return code in UNPREPARED or code == OUTDATED",
    ),
    Mutant(
        "a transaction that was left open is somebody else's", _OFFICE, "if broken or not link.is_at_rest", "if broken"
    ),
    Mutant("a server that takes no writes is kept", _ERRORS, 'frozenset({"25006", "25P03"', 'frozenset({"25P03"'),
    Mutant(
        "a password that was wrong from the start is an outage",
        _ERRORS,
        "BackendUnavailable if admitted else BackendError",
        "BackendUnavailable",
    ),
    Mutant(
        "the end of a transaction is cut short",
        _CONNECTION,
        "        with self._line.uncut(answer=answer):\n            await block.__aexit__(None, None, None)\n",
        "        await block.__aexit__(None, None, None)\n",
    ),
    Mutant(
        "a cancelled query goes on on the server",
        _CONNECTION,
        "                await self._try_cancel()\n",
        "",
    ),
)
