-- A step: whether it can be stored over the record that is there, and how it is.  It follows `additions`.

local STORED, STALE, KEY_TAKEN = 'stored', 'stale', 'key taken'

-- The arguments of a step; the last are the names and values that it sets, and the names that it clears.
local function take_step()
  local queue, id, seq, version, lease_until, shelf, given, cleared = take(8)
  local set, set_end = take_words(given)
  local unset, unset_end = take_words(cleared)
  return {
    base = KEYS[queue], id = id, seq = seq, version = version, lease_until = lease_until, shelf = shelf,
    set = set, set_end = set_end, unset = unset, unset_end = unset_end,
  }
end

-- Whether the record already holds the step: a repeated write is not stale.
local function is_stored(step)
  local key = step.base .. 'job:' .. step.id
  local found = redis.call('HMGET', key, 'seq', 'version')
  if found[1] ~= step.seq or tonumber(found[2] or 0) ~= tonumber(step.version) + 1 then return false end
  for i = step.set, step.set_end, 2 do
    if redis.call('HGET', key, arguments[i]) ~= arguments[i + 1] then return false end
  end
  for i = step.unset, step.unset_end do
    if redis.call('HEXISTS', key, arguments[i]) == 1 then return false end
  end
  return true
end

-- Why the step can't be stored over this record, if so.  *owner* says which job has a unique key.
local function refusal(step, job, owner)
  if not job or job.seq ~= step.seq or job.version ~= step.version then return STALE end
  if step.lease_until ~= '' and job.lease_until ~= step.lease_until then return STALE end
  if job.unique_key and not FINAL[step.shelf] then
    local other = owner(step.base, job.unique_key)
    if other and other ~= job.id then return KEY_TAKEN end
  end
end

-- Give the job what the step sets, and take what it clears.
local function change(job, step)
  filled(job, arguments, step.set, step.set_end)
  for i = step.unset, step.unset_end do job[arguments[i]] = false end
  return job
end

-- Where the job lies after the step.
local function landing(job, step)
  if step.shelf ~= 'ready' then return step.shelf end
  return last_life(change({crashes = job.crashes, max_crashes = job.max_crashes}, step)) and 'alone' or 'ready'
end

-- Make the job what it is after the step, on its shelf.
local function move(job, step)
  job.shelf = landing(job, step)
  change(job, step)
end

local moved = {}  -- the keys of the jobs that were moved

-- Write the step.
local function swap(step, job)
  if moved[job.key] then move_now() end
  moved[job.key] = true
  -- What a full server refuses, before anything is put off to the end.
  redis.call('HSET', job.key, 'shelf', landing(job, step), unpack(arguments, step.set, step.set_end))
  if step.unset <= step.unset_end then redis.call('HDEL', job.key, unpack(arguments, step.unset, step.unset_end)) end
  local shelf, state = job.shelf, job.state
  unshelve(job)
  move(job, step)
  shelve(job)
  local was_final, is_final = FINAL[shelf] or false, FINAL[job.shelf] or false
  if was_final ~= is_final then
    later(leaving, 'ZREM', step.base .. (was_final and 'past' or 'live'), job.name)
    later(knowing, 'ZADD', step.base .. (is_final and 'past' or 'live'), job.seq, job.name)
    keep_key(job)
  end
  if state ~= job.state then
    count(step.base, state, -1)
    count(step.base, job.state, 1)
  end
  notify(step.base, is_final and FINISHED or READY)
  if shelf == 'held' and job.state == 'cancelled' then notify(step.base, CANCELLED) end
end

-- Settle so many changes; `settle_next` takes the next one, and returns its verdict.
-- A change that breaks off must not leave the others half-stored: their records would be written, and on no shelf.
local function settle_all(settle_next)
  local verdicts, broken = {}, nil
  for i = 1, take_number() do
    local whole, verdict = pcall(settle_next)
    if whole then verdicts[i] = verdict else broken = broken or verdict end
  end
  local hints = finish()
  if broken then return type(broken) == 'table' and broken or redis.error_reply(broken) end
  return reply({moment, verdicts, hints})
end
