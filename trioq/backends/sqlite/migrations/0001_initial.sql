-- Layout 1.  `shelf` is physical: a delayed job that has come due lies on 'ready' while its state still says 'delayed'.
-- The checks speak of shelves only, so that a new state needs no new layout.  STRICT: a column holds what it says.

-- What changes in a job's life.  AUTOINCREMENT: a seq is never used twice, not even after a removal.
CREATE TABLE jobs (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    queue         TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    task          TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    shelf         TEXT    NOT NULL CHECK (shelf IN ('ready', 'timed', 'held', 'parked', 'final')),
    version       INTEGER NOT NULL,
    priority      INTEGER NOT NULL,
    max_crashes   INTEGER NOT NULL,
    unique_key    TEXT,
    created_at    REAL    NOT NULL,
    run_at        REAL    NOT NULL,
    expires_at    REAL,
    started_at    REAL,
    finished_at   REAL,
    run           INTEGER NOT NULL,
    failures      INTEGER NOT NULL,
    crashes       INTEGER NOT NULL,
    snoozes       INTEGER NOT NULL,
    worker        TEXT,
    lease_until   REAL,
    progress      BLOB,
    result        BLOB,
    error         TEXT,
    cancel_reason TEXT,
    CHECK ((shelf = 'held') = (lease_until IS NOT NULL)),
    CHECK ((shelf = 'final') = (finished_at IS NOT NULL))
) STRICT;

-- What never changes: kept apart, so that a claim or a settle does not rewrite the payload.
CREATE TABLE bodies (
    seq     INTEGER PRIMARY KEY,
    payload BLOB NOT NULL,
    options BLOB NOT NULL
) STRICT;

-- Queues that hand out nothing.
CREATE TABLE paused (
    queue TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The workers that renew: a row for each start of a worker.
CREATE TABLE workers (
    worker  TEXT    PRIMARY KEY,
    name    TEXT    NOT NULL,
    host    TEXT    NOT NULL,
    slots   INTEGER NOT NULL,
    lease   REAL    NOT NULL,
    leaving INTEGER NOT NULL,
    until   REAL    NOT NULL
) STRICT, WITHOUT ROWID;

-- How often each kind of hint was given for a queue: another process reads it when the wake file is touched.
CREATE TABLE bells (
    queue TEXT    NOT NULL,
    kind  INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (queue, kind)
) STRICT, WITHOUT ROWID;

-- An index that ends with columns of its own condition can be counted by itself.  Else each count would look up
-- every record, for SQLite checks the condition again (a million waiting jobs took 2 s).

-- An id is unique in its queue; also the list of queues.
CREATE UNIQUE INDEX jobs_id ON jobs (queue, id);

-- A unique key is unique among the live jobs of its queue.
CREATE UNIQUE INDEX jobs_live_key ON jobs (queue, unique_key) WHERE unique_key IS NOT NULL AND shelf <> 'final';

-- The order of claims.
CREATE INDEX jobs_ready ON jobs (queue, priority, run_at, seq, shelf, crashes, max_crashes)
    WHERE shelf = 'ready' AND crashes < max_crashes - 1;

-- Ready jobs on their last life, which are claimed alone.
CREATE INDEX jobs_last_life ON jobs (queue, priority, run_at, seq, shelf, crashes, max_crashes)
    WHERE shelf = 'ready' AND crashes >= max_crashes - 1;

-- Due jobs that were promoted: to count them apart from the waiting ones.
CREATE INDEX jobs_promoted ON jobs (queue, state) WHERE shelf = 'ready' AND state <> 'waiting';

-- What comes due next.
CREATE INDEX jobs_timed ON jobs (queue, run_at, seq, shelf) WHERE shelf = 'timed';

-- Leases that ran out, and the leases of one worker.
CREATE INDEX jobs_held ON jobs (lease_until, worker) WHERE shelf = 'held';

-- Jobs that no worker has claimed and whose time to live runs out.
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL AND shelf IN ('ready', 'timed');

-- Jobs that wait for something other than time: to count them.
CREATE INDEX jobs_parked ON jobs (queue, state) WHERE shelf = 'parked';

-- Ended jobs, oldest first: to count and to prune them.
CREATE INDEX jobs_final ON jobs (queue, state, finished_at, seq, shelf) WHERE shelf = 'final';
