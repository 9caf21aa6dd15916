-- Lease ready or due jobs of these queues, in their order; one on its last life goes first, and alone.
-- Arguments: limit, worker, lease, whether the worker is idle.
-- Reply: now, the records as they were before, when the next timed job comes due, which queues are paused, whether a
-- job on its last life waits.

local PROMOTIONS = 1000
local limit, worker, lease, idle = take_number(), take(), take_number(), take() == '1'
local until_then = text(now + lease)

local open, paused = {}, {}
for i, base in ipairs(KEYS) do
  if redis.call('EXISTS', base .. 'paused') == 1 then
    paused[#paused + 1] = i
  else
    open[#open + 1] = i
  end
end

-- Make due jobs ready, earliest first.  Their state stays, so their version does, too.
local function promote(base, most)
  local due = redis.call('ZRANGEBYSCORE', base .. 'timed', '-inf', moment, 'LIMIT', 0, most)
  for _, name in ipairs(due) do
    local key = base .. 'job:' .. string.sub(name, SEQ + 1)
    local job = {}
    job.seq, job.priority, job.run_at, job.crashes, job.max_crashes = unpack(
      redis.call('HMGET', key, 'seq', 'priority', 'run_at', 'crashes', 'max_crashes'))
    if job.seq == string.sub(name, 1, SEQ) then
      local shelf = last_life(job) and 'alone' or 'ready'
      redis.call('HSET', key, 'shelf', shelf)
      redis.call('ZADD', base .. shelf, 0, rank(job) .. name)
    end
  end
  bulk('ZREM', base .. 'timed', due)
  return #due
end

-- The Claim step, for the first jobs of a shelf.
local function lease_from(index, shelf, most, claimed)
  local base = KEYS[index]
  local names = most > 0 and redis.call('ZRANGE', base .. shelf, 0, most - 1) or {}
  local held, ids, expiring = {}, {}, {}
  for _, name in ipairs(names) do
    local id = string.sub(name, RANK + SEQ + 1)
    local key = base .. 'job:' .. id
    local fields = redis.call('HGETALL', key)
    local job = filled({seq = false, state = false, version = 0, run = 0, expires_at = false}, fields, 1, #fields)
    if job.seq == string.sub(name, RANK + 1, RANK + SEQ) then
      redis.call('HSET', key,
        'state', 'active', 'shelf', 'held', 'version', job.version + 1, 'run', job.run + 1,
        'worker', worker, 'lease_until', until_then, 'started_at', moment)
      claimed[#claimed + 1], ids[#ids + 1] = {index, id, fields}, id
      held[#held + 1], held[#held + 2] = until_then, string.sub(name, RANK + 1)
      if job.expires_at then expiring[#expiring + 1] = string.sub(name, RANK + 1) end
      count(base, job.state, -1)
    end
  end
  count(base, 'active', #ids)
  bulk('ZREM', base .. shelf, names)
  bulk('ZADD', base .. 'held', held)
  bulk('SADD', base .. 'held:' .. worker, ids)
  bulk('ZREM', base .. 'expiring', expiring)
end

local function first_due(base)
  return tonumber(redis.call('ZRANGE', base .. 'timed', 0, 0, 'WITHSCORES')[2])
end

local left, next_due = PROMOTIONS, nil
for _, index in ipairs(open) do
  local due = first_due(KEYS[index])
  if due and due <= now then
    left = left - promote(KEYS[index], left)
    due = first_due(KEYS[index])
  end
  if due and (not next_due or due < next_due) then next_due = due end
end

local function find_last_life()
  for _, index in ipairs(open) do
    if redis.call('EXISTS', KEYS[index] .. 'alone') == 1 then return index end
  end
end

local claimed, waits = {}, find_last_life()
if waits and idle and limit > 0 then
  lease_from(waits, 'alone', 1, claimed)
  waits = find_last_life()
else
  for _, index in ipairs(open) do lease_from(index, 'ready', limit - #claimed, claimed) end
end
write_counts()
return reply({moment, claimed, next_due and text(next_due) or '', paused, waits and 1 or 0})
