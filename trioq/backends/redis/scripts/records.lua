-- A job's record, whether it is there, and where it lies.  It follows `ends`.

-- The shelves of what has ended, and of what may be claimed.
local FINAL = {ended = true, dead = true}
local WAITS = {ready = true, alone = true, timed = true}

-- The fields of a job that a verb compares, and its name in the indexes; nothing where there is no such job.  Where the
-- job `ends`, or is dropped, fields that matter only while a job waits are read only if it does.
local function read(base, id, ends)
  local key = base .. 'job:' .. id
  local seq, version, state, shelf, worker, lease_until, unique_key = unpack(
    redis.call('HMGET', key, 'seq', 'version', 'state', 'shelf', 'worker', 'lease_until', 'unique_key'))
  if not seq then return nil end
  local job = {
    base = base, id = id, key = key, name = seq .. id, seq = seq, version = version or '0', state = state,
    shelf = shelf, worker = worker, lease_until = lease_until, unique_key = unique_key, finished_at = false,
  }
  if WAITS[shelf] or not ends then
    job.run, job.priority, job.run_at, job.expires_at, job.crashes, job.max_crashes = unpack(
      redis.call('HMGET', key, 'run', 'priority', 'run_at', 'expires_at', 'crashes', 'max_crashes'))
    job.run = job.run or '0'
  end
  return job
end

-- The job with those of these names and values that it has a place for.
local function filled(job, words, first, last)
  for i = first, last, 2 do
    if job[words[i]] ~= nil then job[words[i]] = words[i + 1] end
  end
  return job
end

-- A whole record, as the caller reads it: which queue, the id, then names and values.
local function record(index, id)
  return {index, id, redis.call('HGETALL', KEYS[index] .. 'job:' .. id)}
end

local function last_life(job)
  return tonumber(job.crashes or 0) >= tonumber(job.max_crashes) - 1
end

local added = {}  -- the keys of the jobs that this script has added

-- Whether there is such a job: its record is there, and the index knows it.  A record that a broken-off script has left
-- is no job, and is dropped.
local function is_there(base, id)
  local key = base .. 'job:' .. id
  local seq = redis.call('HGET', key, 'seq')
  if not seq then return false end
  local name = seq .. id
  if added[key] or redis.call('ZSCORE', base .. 'live', name) or redis.call('ZSCORE', base .. 'past', name) then
    return true
  end
  redis.call('DEL', key)
  return false
end

-- Whether a record of any of these new jobs exists: mostly none does, and the server is asked once for all.
local function any_exists(news)
  local keys = {}
  for i, new in ipairs(news) do keys[i] = new.key end
  for first = 1, #keys, MOST do
    if redis.call('EXISTS', unpack(keys, first, math.min(first + MOST - 1, #keys))) > 0 then return true end
  end
  return false
end

-- The id that a unique key leads to.
local function holder(base, key)
  return redis.call('HGET', base .. 'keys', key) or nil
end

-- The id of the live job that has a unique key.  A job whose record was evicted has none.
local function owner(base, key)
  local id = holder(base, key)
  return id and is_there(base, id) and id or nil
end

-- --- where a job lies ---------------------------------------------------------------------------------

-- By priority, then time of readiness; the seq follows.  Nine decimals tell any two doubles of our times apart.
-- Jobs that are enqueued together mostly share theirs.
local last = {}
local function rank(job)
  if job.priority ~= last.priority or job.run_at ~= last.run_at then
    local rank = string.format('%05d%020.9f', tonumber(job.priority) + 32768, tonumber(job.run_at))
    last = {priority = job.priority, run_at = job.run_at, rank = rank}
  end
  return last.rank
end

local function entry(job)
  if job.shelf == 'held' then return job.lease_until, job.name end
  if FINAL[job.shelf] then return job.finished_at, job.name end
  if job.shelf == 'timed' then return job.run_at, job.name end
  if job.shelf == 'ready' or job.shelf == 'alone' then return 0, rank(job) .. job.name end
end

local function shelve(job)
  local score, name = entry(job)
  if name then later(entering, 'ZADD', job.base .. job.shelf, score, name) end
  if job.shelf == 'held' then later(entering, 'SADD', job.base .. 'held:' .. job.worker, job.id) end
  if job.expires_at and WAITS[job.shelf] then
    later(entering, 'ZADD', job.base .. 'expiring', job.expires_at, job.name)
  end
end

local function unshelve(job)
  local _, name = entry(job)
  if name then later(leaving, 'ZREM', job.base .. job.shelf, name) end
  if job.shelf == 'held' then later(leaving, 'SREM', job.base .. 'held:' .. job.worker, job.id) end
  if job.expires_at and WAITS[job.shelf] then
    later(leaving, 'ZREM', job.base .. 'expiring', job.name)
  end
end

-- The unique key is its job's while that is live.
local function keep_key(job)
  if not job.unique_key then return end
  if not FINAL[job.shelf] then
    redis.call('HSET', job.base .. 'keys', job.unique_key, job.id)
  elseif holder(job.base, job.unique_key) == job.id then
    redis.call('HDEL', job.base .. 'keys', job.unique_key)
  end
end

-- Forget a record.
local function drop(job)
  unshelve(job)
  later(leaving, 'ZREM', job.base .. (FINAL[job.shelf] and 'past' or 'live'), job.name)
  if job.unique_key and holder(job.base, job.unique_key) == job.id then
    redis.call('HDEL', job.base .. 'keys', job.unique_key)
  end
  redis.call('DEL', job.key)
  count(job.base, job.state, -1)
  grown[job.base] = true
end
