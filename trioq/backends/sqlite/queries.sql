-- Every statement, each with a sentence.  Values are always bound; {record} and the like stand for lists of columns.

-- name: last_seq
-- The last seq that was given to a job.
SELECT seq FROM sqlite_sequence WHERE name = 'jobs';

-- name: insert_job
-- Add a job, unless its id is known or a live job has its unique key.
INSERT INTO jobs ({columns}, shelf) VALUES ({values}, ?) ON CONFLICT DO NOTHING;

-- name: insert_body
-- Add what never changes of a new job.
INSERT INTO bodies (seq, payload, options) VALUES (?, ?, ?);

-- name: inserted
-- The jobs that this transaction has added: no other transaction can add any meanwhile.
SELECT seq FROM jobs WHERE seq > ?;

-- name: by_id
-- The job with an id.
SELECT {record} FROM jobs j LEFT JOIN bodies b USING (seq) WHERE j.queue = ? AND j.id = ?;

-- name: is_live
-- Whether there is a job with an id that has not ended.
SELECT 1 FROM jobs WHERE queue = ? AND id = ? AND shelf <> 'final';

-- name: by_key
-- The live job that has a unique key.
SELECT {record} FROM jobs j LEFT JOIN bodies b USING (seq)
WHERE j.queue = ? AND j.unique_key = ? AND j.shelf <> 'final';

-- name: next_due
-- When the next timed job of a queue comes due.
SELECT min(run_at) FROM jobs WHERE queue = ? AND shelf = 'timed';

-- name: promote
-- Make due jobs ready, earliest first; their state stays, so their version does, too.
UPDATE jobs SET shelf = 'ready' WHERE seq IN (
    SELECT seq FROM jobs WHERE queue = ? AND shelf = 'timed' AND run_at <= ? ORDER BY run_at, seq LIMIT ?
);

-- name: ready
-- The next ready jobs of a queue, but for those on their last life.  A state that a newer trioq wrote is left alone.
SELECT {record} FROM jobs j LEFT JOIN bodies b USING (seq)
WHERE j.queue = ? AND j.shelf = 'ready' AND j.crashes < j.max_crashes - 1 AND j.state IN ('waiting', 'delayed')
ORDER BY j.priority, j.run_at, j.seq LIMIT ?;

-- name: ready_last_life
-- The next ready job of a queue that is on its last life.
SELECT {record} FROM jobs j LEFT JOIN bodies b USING (seq)
WHERE j.queue = ? AND j.shelf = 'ready' AND j.crashes >= j.max_crashes - 1 AND j.state IN ('waiting', 'delayed')
ORDER BY j.priority, j.run_at, j.seq LIMIT 1;

-- name: has_last_life
-- Whether a ready job of a queue is on its last life.
SELECT 1 FROM jobs
WHERE queue = ? AND shelf = 'ready' AND crashes >= max_crashes - 1 AND state IN ('waiting', 'delayed') LIMIT 1;

-- name: lease
-- The Claim step, for a JSON list of seqs.
UPDATE jobs
SET state = 'active', shelf = 'held', version = version + 1, run = run + 1, worker = ?, lease_until = ?, started_at = ?
WHERE seq IN (SELECT value FROM json_each(?));

-- name: settle
-- Compare and swap.
UPDATE jobs SET {assignments} WHERE seq = ? AND queue = ? AND id = ? AND version = ?;

-- name: settle_lease
-- Compare and swap, where a renewal must not have come in between.
UPDATE jobs SET {assignments} WHERE seq = ? AND queue = ? AND id = ? AND version = ? AND lease_until = ?;

-- name: settle_returned
-- Compare and swap, where changes differ only in their results.
-- The results come in one piece.  A JSON list has each job's seq, its id, where its result begins, and its length.
-- NOT INDEXED: each job is to be found by its seq, and never by a scan of its queue.
UPDATE jobs NOT INDEXED SET {assignments}, result = substr(?, value ->> 2, value ->> 3) FROM json_each(?)
WHERE jobs.seq = value ->> 0 AND jobs.id = value ->> 1 AND queue = ? AND version = ?;

-- name: stored
-- The present values of the columns that a change sets.
SELECT {changed} FROM jobs WHERE seq = ? AND queue = ? AND id = ?;

-- name: shelf
-- The shelf that a job lies on.
SELECT shelf FROM jobs WHERE seq = ?;

-- name: renew
-- Extend one lease; the run fences, and the version stays.
UPDATE jobs SET lease_until = ?, progress = coalesce(?, progress)
WHERE queue = ? AND id = ? AND run = ? AND shelf = 'held';

-- name: outcome
-- The state and run of a job whose lease was not found.
SELECT state, run FROM jobs WHERE queue = ? AND id = ?;

-- name: held_by
-- The leases of one worker: a scan of the index of leases, never of jobs that no worker holds.
SELECT queue, id FROM jobs WHERE shelf = 'held' AND worker = ?;

-- name: presence
-- Note that a worker is there.
INSERT INTO workers (worker, name, host, slots, lease, leaving, until) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (worker) DO UPDATE SET name = excluded.name, host = excluded.host, slots = excluded.slots,
    lease = excluded.lease, leaving = excluded.leaving, until = excluded.until;

-- name: workers
-- The workers that have renewed within their lease.
SELECT worker, name, host, slots, lease, leaving FROM workers WHERE until > ? ORDER BY worker;

-- name: forget_workers
-- Drop the workers that have not renewed for long.
DELETE FROM workers WHERE until < ?;

-- name: overdue_leases
-- Held jobs whose lease ran out, the longest ago first.
SELECT {record} FROM jobs j LEFT JOIN bodies b USING (seq)
WHERE j.shelf = 'held' AND j.lease_until <= ? AND j.state = 'active'
ORDER BY j.lease_until, j.worker, j.seq LIMIT ?;

-- name: overdue_ttls
-- Unclaimed jobs whose time to live ran out, the longest ago first.
SELECT {record} FROM jobs j LEFT JOIN bodies b USING (seq)
WHERE j.expires_at IS NOT NULL AND j.shelf IN ('ready', 'timed') AND j.expires_at <= ?
    AND j.state IN ('waiting', 'delayed')
ORDER BY j.expires_at LIMIT ?;

-- name: page_end
-- The seq at which a page of so many records ends; nothing for the last page.
SELECT seq FROM jobs WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?;

-- name: page
-- The matching jobs between two seqs.  The plus signs rule out any other index: it reads no other records.
SELECT {record} FROM jobs j LEFT JOIN bodies b USING (seq)
WHERE j.seq > ? AND j.seq <= ?
    AND +j.queue = ? AND +j.state IN (SELECT value FROM json_each(?)) AND j.task = coalesce(?, j.task)
ORDER BY j.seq LIMIT ?;

-- name: count_ready
-- How many jobs are ready.
SELECT (SELECT count(*) FROM jobs WHERE queue = ?1 AND shelf = 'ready' AND crashes < max_crashes - 1)
     + (SELECT count(*) FROM jobs WHERE queue = ?1 AND shelf = 'ready' AND crashes >= max_crashes - 1);

-- name: count_promoted
-- How many of the ready jobs aren't waiting, by state.
SELECT state, count(*) FROM jobs WHERE queue = ? AND shelf = 'ready' AND state <> 'waiting' GROUP BY state;

-- name: count_timed
-- How many jobs wait for their time.
SELECT count(*) FROM jobs WHERE queue = ? AND shelf = 'timed';

-- name: count_held
-- How many jobs are under a lease: a scan of the index of leases.
SELECT count(*) FROM jobs WHERE queue = ? AND shelf = 'held';

-- name: count_parked
-- How many jobs wait for something else.
SELECT count(*) FROM jobs WHERE queue = ? AND shelf = 'parked';

-- name: count_final
-- How many jobs have ended, by state.
SELECT state, count(*) FROM jobs WHERE queue = ? AND shelf = 'final' GROUP BY state;

-- name: queue_after
-- The next queue that has a record, by name.
SELECT min(queue) FROM jobs WHERE queue > ?;

-- name: paused
-- The paused queues.
SELECT queue FROM paused;

-- name: is_paused
-- Whether a queue is paused.
SELECT 1 FROM paused WHERE queue = ?;

-- name: pause
-- Pause a queue, unless it is.
INSERT INTO paused (queue) VALUES (?) ON CONFLICT DO NOTHING;

-- name: resume
-- Resume a queue.
DELETE FROM paused WHERE queue = ?;

-- name: removable
-- A job that no worker holds.
SELECT seq FROM jobs WHERE queue = ? AND id = ? AND shelf <> 'held';

-- name: delete_jobs
-- Drop the records of a JSON list of seqs.
DELETE FROM jobs WHERE seq IN (SELECT value FROM json_each(?));

-- name: delete_bodies
-- Drop the bodies of those records.
DELETE FROM bodies WHERE seq IN (SELECT value FROM json_each(?));

-- name: oldest_final
-- The jobs that ended before a time, the longest ago first.
SELECT finished_at, seq FROM jobs
WHERE queue = ? AND state = ? AND shelf = 'final' AND finished_at <= ? ORDER BY finished_at, seq LIMIT ?;

-- name: count_final_state
-- How many jobs ended in a state, up to a number.
SELECT count(*) FROM (SELECT 1 FROM jobs WHERE queue = ? AND state = ? AND shelf = 'final' LIMIT ?);

-- name: span
-- At least as many as there are records, without counting them.
SELECT (SELECT max(seq) FROM jobs) - (SELECT min(seq) FROM jobs) + 1;

-- name: bump
-- Count a hint.
INSERT INTO bells (queue, kind, count) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count;

-- name: bells
-- All counts of hints.
SELECT queue, kind, count FROM bells;

-- name: snapshot
-- Any read: it takes the snapshot that a transaction of reads works on.
SELECT 1 FROM paused LIMIT 1;
