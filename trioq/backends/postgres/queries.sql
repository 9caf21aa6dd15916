-- Every statement, each with a sentence.  Values are always bound: %(name)s.  Braces stand for what many share:
-- {jobs} and the like are the tables of the schema, {clock} is the store's now, {record} are the columns of a job.
-- A statement that a job waits for has few values, and no lists: each costs the client as much as a few rows do.
--
-- A statement sees what was committed when it began, and nothing of what its own parts write.  Where a row has been
-- changed since, the conditions are checked again on the row as it is now.
--
-- A row is found again by queue, id and seq, and by no condition of another index.  On an empty table all indexes cost
-- the same.  By queue and seq alone, a plan that was made then, and is kept, may read all ids of a queue for each row.

-- name: insert
-- Add jobs, unless their id is known or a live job has their unique key; return their seqs, and which were stored.
-- By key and id, so that two inserts of the same jobs wait for each other in one order.
WITH clock AS MATERIALIZED ({clock}),
new AS MATERIALIZED (
    SELECT coalesce(reserved, nextval({seqs})) AS seq, given.*
    FROM (SELECT * FROM json_to_recordset(%(jobs)s::json) AS given ({new}) ORDER BY n) AS given
),
stamped AS (
    SELECT new.*, coalesce(now + delay, greatest(now, asked_at)) AS run_at FROM new, clock
),
created AS (
    INSERT INTO {jobs} (seq, state, shelf, created_at, run_at, expires_at, {columns})
    SELECT seq,
        CASE WHEN run_at > now THEN 'delayed' ELSE 'waiting' END,
        CASE WHEN run_at > now THEN 'timed' ELSE 'ready' END,
        now, run_at, now + ttl, {values}
    FROM stamped AS given, clock
    ORDER BY unique_key, queue, id
    ON CONFLICT DO NOTHING
    RETURNING seq, queue
),
notified AS MATERIALIZED (
    SELECT pg_notify({channel}, %(ready)s::text || queue)
    FROM (SELECT DISTINCT queue FROM created) AS queues WHERE %(notifies)s AND {room}
    UNION ALL
    SELECT pg_notify({channel}, message) FROM unnest({carried}) AS message WHERE {room}
)
SELECT now, (SELECT count(*) FROM notified), ARRAY(SELECT seq FROM new ORDER BY seq), ARRAY(SELECT seq FROM created)
FROM clock;

-- name: reserve
-- Reserve so many seqs.
SELECT nextval({seqs}) FROM generate_series(1, %(count)s::integer);

-- name: known
-- For each refused job the one that has its id, or else the live one that has its unique key.
SELECT asked.n, {record}
FROM json_to_recordset(%(jobs)s::json) AS asked (n integer, queue text, id text, unique_key text)
CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT 1 AS rank, k.* FROM {jobs} AS k WHERE k.queue = asked.queue AND k.id = asked.id
        UNION ALL
        SELECT 2, k.* FROM {jobs} AS k
        WHERE k.queue = asked.queue AND k.unique_key = asked.unique_key AND k.shelf <> 'final'
    ) AS found
    ORDER BY rank LIMIT 1
) AS j;

-- name: promote
-- Make due jobs ready, earliest first; their state stays, so their version does, too.
WITH clock AS MATERIALIZED ({clock}),
asked AS MATERIALIZED ({asked}),
due AS MATERIALIZED (
    SELECT found.* FROM asked CROSS JOIN LATERAL (
        SELECT queue, id, seq FROM {jobs}
        WHERE queue = asked.queue AND shelf = 'timed' AND run_at <= (SELECT now FROM clock)
        ORDER BY run_at, seq LIMIT %(promotions)s FOR NO KEY UPDATE SKIP LOCKED
    ) AS found
    LIMIT %(promotions)s
)
UPDATE {jobs} AS j SET shelf = 'ready' FROM due
WHERE j.queue = due.queue AND j.id = due.id AND j.seq = due.seq;

-- name: claim
-- The Claim step, for the next ready jobs; one on its last life goes first, and alone.  A job that another claim takes
-- right now is skipped, and no row is locked that isn't taken.  A state that a newer trioq wrote is left alone.
-- While a due job isn't among the ready ones, it takes nothing, unless `promoted` says that they were made ready.
WITH clock AS MATERIALIZED ({clock}),
asked AS MATERIALIZED ({asked}),
timed AS MATERIALIZED (
    SELECT min(first.run_at) AS next_due FROM asked CROSS JOIN LATERAL (
        SELECT run_at FROM {jobs} WHERE queue = asked.queue AND shelf = 'timed' ORDER BY run_at, seq LIMIT 1
    ) AS first
),
allowed AS MATERIALIZED (
    SELECT CASE WHEN next_due <= now AND NOT %(promoted)s THEN 0 ELSE %(limit)s END AS most FROM timed, clock
),
last_life AS MATERIALIZED (
    SELECT found.* FROM asked CROSS JOIN LATERAL (
        SELECT queue, id, seq FROM {jobs}
        WHERE queue = asked.queue AND shelf = 'ready' AND crashes >= max_crashes - 1
            AND state IN ('waiting', 'delayed')
        ORDER BY priority, run_at, seq LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
    ) AS found
    WHERE %(idle)s
    LIMIT least(1, (SELECT most FROM allowed))
),
ready AS MATERIALIZED (
    SELECT found.* FROM asked CROSS JOIN LATERAL (
        SELECT queue, id, seq FROM {jobs}
        WHERE queue = asked.queue AND shelf = 'ready' AND crashes < max_crashes - 1
            AND state IN ('waiting', 'delayed')
        ORDER BY priority, run_at, seq LIMIT (SELECT most FROM allowed) FOR NO KEY UPDATE SKIP LOCKED
    ) AS found
    WHERE NOT EXISTS (SELECT FROM last_life)
    LIMIT (SELECT most FROM allowed)
),
leased AS (
    UPDATE {jobs} AS j
    SET state = 'active', shelf = 'held', version = j.version + 1, run = j.run + 1,
        worker = %(worker)s, lease_until = now + %(lease)s, started_at = now
    FROM (TABLE last_life UNION ALL TABLE ready) AS chosen, clock
    WHERE j.queue = chosen.queue AND j.id = chosen.id AND j.seq = chosen.seq
    RETURNING {record}
)
SELECT now, next_due,
    EXISTS (
        SELECT FROM asked CROSS JOIN LATERAL (
            SELECT FROM {jobs} AS j
            WHERE j.queue = asked.queue AND j.shelf = 'ready' AND j.crashes >= j.max_crashes - 1
                AND j.state IN ('waiting', 'delayed') AND NOT EXISTS (SELECT FROM last_life WHERE last_life.seq = j.seq)
            LIMIT 1
        ) AS waits
    ),
    ARRAY(SELECT queue FROM {paused} WHERE queue = ANY ({queues})),
    j.*
FROM clock CROSS JOIN timed LEFT JOIN leased AS j ON true
ORDER BY array_position({queues}, j.queue), j.priority, j.run_at, j.seq;

-- name: settle
-- Compare and swap each change.  It is left undone where it brings a job to life whose unique key a live one has.
-- They come by seq, and are written in that order: two settles of the same jobs wait for each other in one order.
WITH clock AS MATERIALIZED ({clock}),
swapped AS (
    UPDATE {jobs} AS j SET shelf = given.shelf, {assignments}
    FROM json_to_recordset(%(changes)s::json) AS given ({changed})
    WHERE j.queue = given.queue AND j.seq = given.seq AND j.id = given.id AND j.version = given.was
        AND (given.leased IS NULL OR j.lease_until = given.leased)
        AND (
            j.shelf <> 'final' OR given.shelf = 'final' OR j.unique_key IS NULL
            -- No EXISTS: that may be answered by reading all live jobs.
            OR (
                SELECT o.seq FROM {jobs} AS o
                WHERE o.queue = j.queue AND o.unique_key = j.unique_key AND o.shelf <> 'final' LIMIT 1
            ) IS NULL
        )
    RETURNING given.n, j.queue,
        CASE WHEN j.worker IS NULL THEN given.hint & ~{cancelled} ELSE given.hint END AS hint
),
notified AS MATERIALIZED (
    SELECT pg_notify({channel}, bit_or(hint)::text || %(sender)s::text || queue)
    FROM swapped WHERE %(notifies)s AND {room} GROUP BY queue
    UNION ALL
    SELECT pg_notify({channel}, message) FROM unnest({carried}) AS message WHERE {room}
)
SELECT now, (SELECT count(*) FROM notified), n, hint FROM clock LEFT JOIN swapped ON true;

-- name: by_seq
-- Jobs by their ids and seqs.
SELECT {record} FROM unnest(%(queues)s::text[], %(ids)s::text[], %(seqs)s::bigint[]) AS asked (queue, id, seq)
JOIN {jobs} AS j ON j.queue = asked.queue AND j.id = asked.id AND j.seq = asked.seq;

-- name: lock
-- Lock these jobs, by seq as settles and renewals do: then no two transactions wait for each other.
SELECT FROM unnest(%(queues)s::text[], %(ids)s::text[], %(seqs)s::bigint[]) AS asked (queue, id, seq)
JOIN {jobs} AS j ON j.queue = asked.queue AND j.id = asked.id AND j.seq = asked.seq
ORDER BY j.seq FOR NO KEY UPDATE OF j;

-- name: unlocked
-- Those of these jobs that no other transaction has locked.
SELECT j.queue, j.seq FROM unnest(%(queues)s::text[], %(ids)s::text[], %(seqs)s::bigint[]) AS asked (queue, id, seq)
JOIN {jobs} AS j ON j.queue = asked.queue AND j.id = asked.id AND j.seq = asked.seq
FOR NO KEY UPDATE OF j SKIP LOCKED;

-- name: renew
-- Extend leases, save progress, note the worker's presence; return what was found of each listed job, and all it holds.
-- The run fences, and the version stays.  By seq, as settles write, or the two would wait for each other.
-- A job that another transaction has locked is not renewed, and counts as kept: it holds up no other lease.
WITH clock AS MATERIALIZED ({clock}),
listed AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(leases)s::json) AS l (n integer, queue text, id text, run integer, progress text)
),
presence AS (
    INSERT INTO {workers} (worker, name, host, slots, lease, leaving, until)
    SELECT %(worker)s, %(name)s, %(host)s, %(slots)s, %(lease)s, %(leaving)s, now + %(lease)s FROM clock
    ON CONFLICT (worker) DO UPDATE SET name = excluded.name, host = excluded.host, slots = excluded.slots,
        lease = excluded.lease, leaving = excluded.leaving, until = excluded.until
),
found AS MATERIALIZED (
    SELECT listed.n, j.queue, j.id, j.seq, j.run, j.state, j.shelf = 'held' AND j.run = listed.run AS kept,
        listed.progress
    FROM listed JOIN {jobs} AS j ON j.queue = listed.queue AND j.id = listed.id
    ORDER BY j.seq FOR NO KEY UPDATE OF j SKIP LOCKED
),
locked AS (
    SELECT listed.n, j.run, j.state, j.shelf = 'held' AND j.run = listed.run AS kept
    FROM listed JOIN {jobs} AS j ON j.queue = listed.queue AND j.id = listed.id
    WHERE listed.n NOT IN (SELECT n FROM found)  -- hashed: an anti-join would be a nested loop here
),
renewed AS (
    UPDATE {jobs} AS j
    SET lease_until = now + %(lease)s, progress = coalesce(decode(found.progress, 'base64'), j.progress)
    FROM found, clock WHERE found.kept AND j.queue = found.queue AND j.id = found.id AND j.seq = found.seq
)
SELECT now, n, kept, state, run, NULL AS queue, NULL AS id FROM clock LEFT JOIN (
    SELECT n, kept, state, run FROM found UNION ALL SELECT n, kept, state, run FROM locked
) AS listed ON true
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, queue, id FROM {jobs} WHERE shelf = 'held' AND worker = %(worker)s;

-- name: overdue
-- Held jobs whose lease ran out, then unclaimed ones whose time to live did; the longest ago first.
WITH clock AS MATERIALIZED ({clock}),
lost AS (
    SELECT 1 AS part, j.lease_until AS since, j.queue, j.id, j.seq FROM {jobs} AS j, clock
    WHERE j.shelf = 'held' AND j.lease_until <= now AND j.state = 'active'
    ORDER BY j.lease_until, j.seq LIMIT %(limit)s
),
late AS (
    SELECT 2 AS part, j.expires_at AS since, j.queue, j.id, j.seq FROM {jobs} AS j
    WHERE j.expires_at IS NOT NULL AND j.shelf IN ('ready', 'timed') AND j.expires_at <= (SELECT now FROM clock)
        AND j.state IN ('waiting', 'delayed')
    ORDER BY j.expires_at LIMIT %(limit)s
),
past AS MATERIALIZED (
    SELECT * FROM (TABLE lost UNION ALL TABLE late) AS past ORDER BY part, since, seq LIMIT %(limit)s
)
SELECT now, {record}
FROM clock LEFT JOIN (past JOIN {jobs} AS j USING (queue, id, seq)) ON true
ORDER BY part, since, j.seq;

-- name: get
-- Jobs by their ids.
WITH asked AS MATERIALIZED ({ids})
SELECT now, {record} FROM ({clock}) AS clock LEFT JOIN (asked JOIN {jobs} AS j USING (queue, id)) ON true;

-- name: live
-- Those of these ids whose jobs have not ended.
WITH asked AS MATERIALIZED ({ids})
SELECT id FROM asked JOIN {jobs} AS j USING (queue, id) WHERE j.shelf <> 'final';

-- name: page
-- The matching jobs among the next records of a queue, by seq.
WITH clock AS MATERIALIZED ({clock}),
looked AS MATERIALIZED (
    SELECT queue, id, seq, state, task FROM {jobs}
    WHERE queue = %(queue)s AND seq > %(cursor)s ORDER BY seq LIMIT %(page)s
),
found AS MATERIALIZED (
    SELECT queue, id, seq FROM looked
    WHERE state = ANY (%(states)s::text[]) AND (%(task)s::text IS NULL OR task = %(task)s::text)
    ORDER BY seq LIMIT %(limit)s
)
SELECT now, (SELECT count(*) FROM looked), (SELECT max(seq) FROM looked), {record}
FROM clock LEFT JOIN (found JOIN {jobs} AS j USING (queue, id, seq)) ON true
ORDER BY j.seq;

-- name: counts
-- How many jobs of a queue are in each state, a shelf at a time: each has an index of its own.
SELECT 'ready', state, count(*) FROM {jobs}
WHERE queue = %(queue)s AND shelf = 'ready' AND crashes < max_crashes - 1 GROUP BY state
UNION ALL
SELECT 'ready', state, count(*) FROM {jobs}
WHERE queue = %(queue)s AND shelf = 'ready' AND crashes >= max_crashes - 1 GROUP BY state
UNION ALL
SELECT 'timed', state, count(*) FROM {jobs} WHERE queue = %(queue)s AND shelf = 'timed' GROUP BY state
UNION ALL
SELECT 'held', state, count(*) FROM {jobs} WHERE queue = %(queue)s AND shelf = 'held' GROUP BY state
UNION ALL
SELECT 'parked', state, count(*) FROM {jobs} WHERE queue = %(queue)s AND shelf = 'parked' GROUP BY state
UNION ALL
SELECT 'final', state, count(*) FROM {jobs} WHERE queue = %(queue)s AND shelf = 'final' GROUP BY state;

-- name: queues
-- Each queue that has a record, by skipping from one to the next, and those that are paused.
WITH RECURSIVE named AS ({named})
SELECT queue FROM named WHERE queue IS NOT NULL UNION SELECT queue FROM {paused} ORDER BY queue;

-- name: pause
-- Pause a queue, unless it is.
WITH paused AS (INSERT INTO {paused} (queue) VALUES (%(queue)s) ON CONFLICT DO NOTHING)
SELECT now, CASE WHEN {room} THEN pg_notify({channel}, %(message)s) END FROM ({clock}) AS clock;

-- name: resume
-- Resume a queue.
WITH resumed AS (DELETE FROM {paused} WHERE queue = %(queue)s)
SELECT now, CASE WHEN {room} THEN pg_notify({channel}, %(message)s) END FROM ({clock}) AS clock;

-- name: notify
-- Give hints.
SELECT pg_notify(%(channel)s, message) FROM unnest(%(messages)s::text[]) AS message WHERE {room};

-- name: is_paused
-- Whether a queue is paused.
SELECT EXISTS (SELECT FROM {paused} WHERE queue = %(queue)s);

-- name: remove
-- Drop records that no worker holds.
WITH asked AS MATERIALIZED ({ids}),
doomed AS MATERIALIZED (
    SELECT j.queue, j.id, j.seq FROM asked JOIN {jobs} AS j USING (queue, id)
    WHERE j.shelf <> 'held' ORDER BY j.seq FOR UPDATE OF j
)
DELETE FROM {jobs} AS j USING doomed
WHERE j.queue = doomed.queue AND j.id = doomed.id AND j.seq = doomed.seq RETURNING j.id;

-- name: prune
-- Drop the ended jobs of these queues that are past their age, the oldest of each state first, and workers that have
-- not renewed for long.  A record that another transaction works on is skipped.
WITH clock AS MATERIALIZED ({clock}),
forgotten AS (DELETE FROM {workers} WHERE until < (SELECT now FROM clock) - %(forgotten)s),
kinds (states, keep) AS (
    VALUES (%(ended)s::text[], %(keep_ended)s::float8), (%(dead)s::text[], %(keep_dead)s::float8)
),
doomed AS MATERIALIZED (
    SELECT old.* FROM unnest({queues}) AS one (queue) CROSS JOIN kinds
    CROSS JOIN LATERAL unnest(kinds.states) AS ended (state) CROSS JOIN LATERAL (
        SELECT queue, id, seq FROM {jobs}
        WHERE queue = one.queue AND state = ended.state AND shelf = 'final'
            AND finished_at <= (SELECT now FROM clock) - kinds.keep
        ORDER BY finished_at, seq LIMIT %(batch)s FOR UPDATE SKIP LOCKED
    ) AS old
    LIMIT %(batch)s
),
dropped AS (
    DELETE FROM {jobs} AS j USING doomed
    WHERE j.queue = doomed.queue AND j.id = doomed.id AND j.seq = doomed.seq RETURNING j.seq
)
SELECT count(*) FROM dropped;

-- name: prune_excess
-- Drop the oldest ended jobs of each of these queues that has more than it may.  Skips records as `prune` does.
WITH kinds (states, most) AS (
    VALUES (%(ended)s::text[], %(most_ended)s::bigint), (%(dead)s::text[], %(most_dead)s::bigint)
),
past AS MATERIALIZED (
    SELECT oldest.queue, oldest.id, oldest.seq FROM unnest({queues}) AS one (queue) CROSS JOIN kinds
    CROSS JOIN LATERAL (
        SELECT count(*) - kinds.most AS excess FROM (
            SELECT FROM {jobs} WHERE queue = one.queue AND state = ANY (kinds.states) AND shelf = 'final'
            LIMIT kinds.most + %(batch)s
        ) AS there
    ) AS counted
    CROSS JOIN LATERAL (
        SELECT ended.*, row_number() OVER (ORDER BY finished_at, seq) AS place
        FROM unnest(kinds.states) AS state (name) CROSS JOIN LATERAL (
            SELECT queue, id, seq, finished_at FROM {jobs}
            WHERE queue = one.queue AND state = state.name AND shelf = 'final'
            ORDER BY finished_at, seq LIMIT %(batch)s
        ) AS ended
        WHERE counted.excess > 0
    ) AS oldest
    WHERE oldest.place <= counted.excess
    LIMIT %(batch)s
),
doomed AS MATERIALIZED (
    SELECT j.queue, j.id, j.seq
    FROM past JOIN {jobs} AS j ON j.queue = past.queue AND j.id = past.id AND j.seq = past.seq
    WHERE j.finished_at IS NOT NULL FOR UPDATE OF j SKIP LOCKED
),
dropped AS (
    DELETE FROM {jobs} AS j USING doomed
    WHERE j.queue = doomed.queue AND j.id = doomed.id AND j.seq = doomed.seq RETURNING j.seq
)
SELECT count(*) FROM dropped;

-- name: workers
-- The workers that have renewed within their lease.
SELECT worker, name, host, slots, lease, leaving FROM {workers}, ({clock}) AS clock WHERE until > now ORDER BY worker;

-- name: layout
-- The last migration that was applied, and which process of the server runs this: a pooler names another.
SELECT (SELECT max(number) FROM {trioq_migrations}), pg_backend_pid();
