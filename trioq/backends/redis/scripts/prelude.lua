-- What every script begins with: the time, a job's record, and where it lies.  No verb is here.
--
-- All keys of a store begin with its prefix in braces, "{trioq}:", and so lie in one slot of a cluster: a change may
-- span queues, and a seq is the store's.  Those of a queue go on with its name, "{trioq}:emails:", in which a colon is
-- written %3A:
--   job:ID      a hash for each job; a field that has its default is absent, times are written with 17 digits
--   ready       jobs to claim, all scored 0: their order is in their names (see `rank`)
--   alone       the same, of jobs on their last life
--   timed       by run_at;  held  by lease_until;  ended, dead  by finished_at
--   held:WORKER what a worker holds, as a set of ids
--   expiring    what lies on ready, alone or timed and has a time to live, by expires_at
--   live, past  every job by seq: those that are not final, and those that are
--   keys        unique key -> the id of the live job that has it
--   counts      state -> how many jobs are in it
--   paused      is there while the queue is paused
-- and these belong to none:
--   seq         the last seq;  layout  the number of this layout;  queues  those that have a record or are paused
--   workers     who has renewed, by when that lease ends;  presence  what each said of itself
--
-- KEYS     what the keys of each queue that is asked for begin with
-- ARGV[1]  the store's now; empty: the server's clock
-- ARGV[2]  what all keys begin with
-- ARGV[3]  who asks: it hears of its own hints in the reply, and passes over them when they are published
-- then the arguments of the verb, one after the other.

local GLOBAL = ARGV[2]
local READY, CANCELLED, FINISHED, PAUSED = 1, 2, 4, 8  -- the values of `Hint`
local FINAL = {ended = true, dead = true}
local WAITS = {ready = true, alone = true, timed = true}
local SEQ = 16   -- digits of a seq: it begins with the server's microseconds, and has no more until the year 2286
local RANK = 25  -- characters of a rank
local MOST = 1000  -- elements in one command: Lua unpacks no more than 8,000

-- --- arguments and numbers ------------------------------------------------------------------------

local at = 3
local function take()
  at = at + 1
  return ARGV[at]
end

local function take_number()
  return tonumber(take())
end

-- A list of so many arguments.
local function take_list()
  local list = {}
  for i = 1, take_number() do list[i] = take() end
  return list
end

-- Exact, and the same for each double: two times are equal where their texts are.
local function text(number)
  return string.format('%.17g', number)
end

local function server_time()
  local time = redis.call('TIME')
  return tonumber(time[1]), tonumber(time[2])
end

local now = tonumber(ARGV[1])
if not now then
  local seconds, micros = server_time()
  now = seconds + micros / 1000000
end

-- A command on many elements, a thousand at a time.
local function bulk(command, key, elements)
  for first = 1, #elements, MOST do
    redis.call(command, key, unpack(elements, first, math.min(first + MOST - 1, #elements)))
  end
end

-- --- what waits for the end ------------------------------------------------------------------------

local counted = {}  -- base -> state -> by how much
local rung = {}     -- base -> hints
local grown = {}    -- bases that got a job, or may have lost their last one
local leaving, entering = {ZREM = {}, SREM = {}}, {ZADD = {}, SADD = {}}  -- command -> key -> elements
local knowing = {ZADD = {}}  -- the same, of `live` and `past`: what is known is on its shelf, should a script break off

-- Move in an index once all is decided: one command for many jobs.  What leaves, leaves first, so whoever moves one job
-- twice says `move_now` in between.
local function later(commands, command, key, element, name)
  local elements = commands[command][key]
  if not elements then
    elements = {}
    commands[command][key] = elements
  end
  elements[#elements + 1] = element
  if name then elements[#elements + 1] = name end
end

local function move_now()
  for _, commands in ipairs({leaving, entering, knowing}) do
    for command, keys in pairs(commands) do
      for key, elements in pairs(keys) do bulk(command, key, elements) end
      commands[command] = {}
    end
  end
end

local function count(base, state, by)
  counted[base] = counted[base] or {}
  counted[base][state] = (counted[base][state] or 0) + by
end

local function ring(base, hint)
  rung[base] = bit.bor(rung[base] or 0, hint)
end

-- A queue is listed while it has a record or is paused.
local function list_queue(base)
  local name = string.sub(base, #GLOBAL + 1, -2)
  if redis.call('EXISTS', base .. 'live', base .. 'past', base .. 'paused') > 0 then
    redis.call('SADD', GLOBAL .. 'queues', name)
  else
    redis.call('SREM', GLOBAL .. 'queues', name)
    redis.call('DEL', base .. 'counts')
  end
end

-- Move in the indexes, write the counts, list the queues and publish the hints; answers the hints of each queue that was asked for.
-- A hint that can't be published is none: the write is done, and nobody needs hints.
local function finish()
  move_now()
  for base, states in pairs(counted) do
    for state, by in pairs(states) do
      if by ~= 0 then redis.call('HINCRBY', base .. 'counts', state, by) end
    end
  end
  for base in pairs(grown) do list_queue(base) end
  local hints = {}
  for i, base in ipairs(KEYS) do
    hints[i] = rung[base] or 0
    if rung[base] then
      redis.pcall('PUBLISH', base .. 'hints', rung[base] .. ' ' .. ARGV[3])
      rung[base] = nil
    end
  end
  return hints
end

-- --- records ----------------------------------------------------------------------------------------

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

-- --- new jobs ---------------------------------------------------------------------------------------

-- The last seq before so many new ones.  It is never behind the server's clock, so that neither FLUSHALL nor a restart
-- that lost the tail brings a seq back, and a change that was made before it matches no job that came after it.
local function reserve(how_many)
  local seconds, micros = server_time()
  local before = math.max(tonumber(redis.call('GET', GLOBAL .. 'seq') or 0), seconds * 1000000 + micros)
  redis.call('SET', GLOBAL .. 'seq', string.format('%.0f', before + how_many))
  return before
end

-- The arguments of a new job.
local function take_new()
  return {
    base = KEYS[take_number()], id = take(), unique_key = take(), delay = take(), run_at = take(), ttl = take(),
    fields = take_list(),
  }
end

-- Store a new job: stamped, as `trioq.lifecycle.stamp` says.
local function add(new, seq)
  local job = {base = new.base, id = new.id}
  local fields = new.fields
  for i = 1, #fields, 2 do job[fields[i]] = fields[i + 1] end
  local run_at = new.delay ~= '' and now + tonumber(new.delay) or math.max(now, tonumber(new.run_at))
  job.seq, job.run_at = string.format('%.0f', seq), text(run_at)
  job.state, job.shelf = 'waiting', last_life(job) and 'alone' or 'ready'
  if run_at > now then job.state, job.shelf = 'delayed', 'timed' end
  local stamped = {'seq', job.seq, 'state', job.state, 'shelf', job.shelf, 'created_at', text(now), 'run_at', job.run_at}
  if new.ttl ~= '' then
    job.expires_at = text(now + tonumber(new.ttl))
    stamped[#stamped + 1], stamped[#stamped + 2] = 'expires_at', job.expires_at
  end
  for i = 1, #stamped do fields[#fields + 1] = stamped[i] end
  redis.call('HSET', job.base .. 'job:' .. job.id, unpack(fields))
  added[job.base .. 'job:' .. job.id] = true
  later(knowing, 'ZADD', job.base .. 'live', job.seq, job.seq .. job.id)
  shelve(job)
  keep_key(job)
  count(job.base, job.state, 1)
  ring(job.base, READY)
  grown[job.base] = true
end
