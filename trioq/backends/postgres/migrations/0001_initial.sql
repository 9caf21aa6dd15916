-- Layout 1.  `shelf` is physical: a delayed job that has come due is on 'ready' while its state still says 'delayed'.
-- The checks speak of shelves only, so a new state needs no new layout.  It runs in one transaction, in its schema.

-- Which migrations have been applied: the mark of trioq, too.
CREATE TABLE trioq_migrations (
    number     integer     PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- A seq is never used twice, not even after a removal.
CREATE SEQUENCE seqs AS bigint;

-- Names are ASCII, and compared byte by byte.  Errors and reasons may hold what no text can (NUL, half a surrogate), so
-- they are bytes, in UTF-8.  Room is left in each page: a renewal changes no indexed column, and stays in its page.
CREATE TABLE jobs (
    seq           bigint   NOT NULL,
    created_at    float8   NOT NULL,
    run_at        float8   NOT NULL,
    expires_at    float8,
    started_at    float8,
    finished_at   float8,
    lease_until   float8,
    version       integer  NOT NULL,
    run           integer  NOT NULL,
    failures      integer  NOT NULL,
    crashes       integer  NOT NULL,
    snoozes       integer  NOT NULL,
    max_crashes   integer  NOT NULL,
    priority      smallint NOT NULL,
    queue         text     COLLATE "C" NOT NULL,
    id            text     COLLATE "C" NOT NULL,
    task          text     COLLATE "C" NOT NULL,
    state         text     COLLATE "C" NOT NULL,
    shelf         text     COLLATE "C" NOT NULL,
    unique_key    text     COLLATE "C",
    worker        text     COLLATE "C",
    payload       bytea    NOT NULL,
    options       bytea    NOT NULL,
    progress      bytea,
    result        bytea,
    error         bytea,
    cancel_reason bytea,
    -- A claim and a settle each add an entry for the same job, beside that of its insert.  The pages of this index and
    -- of the ids leave room for three.  Else each page would be searched for dead entries, and split all the same.
    CONSTRAINT jobs_seq PRIMARY KEY (queue, seq) WITH (fillfactor = 30),
    CONSTRAINT jobs_shelf CHECK (shelf IN ('ready', 'timed', 'held', 'parked', 'final')),
    CONSTRAINT jobs_leased CHECK ((shelf = 'held') = (lease_until IS NOT NULL)),
    CONSTRAINT jobs_finished CHECK ((shelf = 'final') = (finished_at IS NOT NULL))
) WITH (
    fillfactor = 80,
    -- A job leaves two dead versions behind, and claims step over them until they are gone.
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05,
    -- To give the end of the file back would lock all sessions out, and the next jobs need it again.
    vacuum_truncate = false
);
ALTER SEQUENCE seqs OWNED BY jobs.seq;

-- Large values lie beside the row, as they are: to compress them would cost the server more than the disk is worth.
ALTER TABLE jobs ALTER COLUMN payload SET STORAGE EXTERNAL, ALTER COLUMN result SET STORAGE EXTERNAL;

-- An id is unique in its queue.
CREATE UNIQUE INDEX jobs_id ON jobs (queue, id) WITH (fillfactor = 30);

-- A unique key is unique among the live jobs of its queue.
CREATE UNIQUE INDEX jobs_live_key ON jobs (queue, unique_key) WHERE unique_key IS NOT NULL AND shelf <> 'final';

-- The order of claims.
CREATE INDEX jobs_ready ON jobs (queue, priority, run_at, seq) WHERE shelf = 'ready' AND crashes < max_crashes - 1;

-- Ready jobs on their last life, which are claimed alone.
CREATE INDEX jobs_last_life ON jobs (queue, priority, run_at, seq) WHERE shelf = 'ready' AND crashes >= max_crashes - 1;

-- What comes due next.
CREATE INDEX jobs_timed ON jobs (queue, run_at, seq) WHERE shelf = 'timed';

-- The leases of one worker, and all there are: without the time, which each renewal changes.
CREATE INDEX jobs_held ON jobs (worker, queue) WHERE shelf = 'held';

-- Jobs that no worker has claimed and whose time to live runs out.
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL AND shelf IN ('ready', 'timed');

-- Jobs that wait for something other than time: to count them.
CREATE INDEX jobs_parked ON jobs (queue, state) WHERE shelf = 'parked';

-- Ended jobs, oldest first: to count and to prune them.
CREATE INDEX jobs_final ON jobs (queue, state, finished_at, seq) WHERE shelf = 'final';

-- Queues that hand out nothing.
CREATE TABLE paused (
    queue text COLLATE "C" PRIMARY KEY
);

-- The workers that renew: a row for each start of a worker.
CREATE TABLE workers (
    worker  text    COLLATE "C" PRIMARY KEY,
    name    text    NOT NULL,
    host    text    NOT NULL,
    slots   integer NOT NULL,
    lease   float8  NOT NULL,
    leaving boolean NOT NULL,
    until   float8  NOT NULL
) WITH (fillfactor = 50);
