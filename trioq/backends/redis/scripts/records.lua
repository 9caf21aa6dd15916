-- A job's record, whether it is there, and where it lies.  It follows `ends`.

local COMPARED = {
  'seq', 'version', 'state', 'shelf', 'run', 'priority', 'run_at', 'expires_at', 'lease_until', 'worker',
  'crashes', 'max_crashes', 'unique_key',
}

-- The fields of a job that a verb compares, or nothing where there is no such job.
local function read(base, id)
  local values = redis.call('HMGET', base .. 'job:' .. id, unpack(COMPARED))
  if not values[1] then return nil end
  local job = {base = base, id = id}
  for i, name in ipairs(COMPARED) do job[name] = values[i] or nil end
  job.version, job.run = job.version or '0', job.run or '0'
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

-- Whether there is such a job: its record is there, and the index knows it.  What a script left that broke off half-way
-- is none, and is dropped.
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

-- The id that a unique key leads to.
local function holder(base, key)
  return redis.call('HGET', base .. 'keys', key) or nil
end

-- The id of the live job that has a unique key.  One whose record was evicted has none.
local function owner(base, key)
  local id = holder(base, key)
  return id and is_there(base, id) and id or nil
end

-- --- where a job lies ---------------------------------------------------------------------------------

-- By priority, then time of readiness; the seq follows.  Nine decimals tell any two doubles of our times apart.
local function rank(job)
  return string.format('%05d%020.9f', tonumber(job.priority) + 32768, tonumber(job.run_at))
end

local function entry(job)
  local name = job.seq .. job.id
  if job.shelf == 'ready' or job.shelf == 'alone' then return 0, rank(job) .. name end
  if job.shelf == 'timed' then return job.run_at, name end
  if job.shelf == 'held' then return job.lease_until, name end
  if FINAL[job.shelf] then return job.finished_at, name end
end

local function shelve(job)
  local score, name = entry(job)
  if name then later(entering, 'ZADD', job.base .. job.shelf, score, name) end
  if job.shelf == 'held' then later(entering, 'SADD', job.base .. 'held:' .. job.worker, job.id) end
  if job.expires_at and WAITS[job.shelf] then
    later(entering, 'ZADD', job.base .. 'expiring', job.expires_at, job.seq .. job.id)
  end
end

local function unshelve(job)
  local _, name = entry(job)
  if name then later(leaving, 'ZREM', job.base .. job.shelf, name) end
  if job.shelf == 'held' then later(leaving, 'SREM', job.base .. 'held:' .. job.worker, job.id) end
  if job.expires_at and WAITS[job.shelf] then
    later(leaving, 'ZREM', job.base .. 'expiring', job.seq .. job.id)
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
  later(leaving, 'ZREM', job.base .. (FINAL[job.shelf] and 'past' or 'live'), job.seq .. job.id)
  if job.unique_key and holder(job.base, job.unique_key) == job.id then
    redis.call('HDEL', job.base .. 'keys', job.unique_key)
  end
  redis.call('DEL', job.base .. 'job:' .. job.id)
  count(job.base, job.state, -1)
  grown[job.base] = true
end
