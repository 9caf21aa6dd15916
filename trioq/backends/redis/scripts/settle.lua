-- Compare and swap each change; one of several parts is stored whole or not at all.
-- Arguments: the number of changes; for each the number of its steps and that of its new jobs, each step (see
-- `take_step`), and each new job (see `take_new`).
-- Reply: now, a verdict for each change, hints.

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

-- A draft is what the steps of one change see of those before them: an index can't take back what it knows.

local NO_DRAFT = {jobs = {}, keys = {}}

local function see(drafted, base, id)
  local name = base .. id
  if drafted.jobs[name] == nil then drafted.jobs[name] = read(base, id) or false end
  return drafted.jobs[name]
end

local function see_holder(drafted, base, key)
  local id = drafted.keys[base .. key]
  if id == nil then return owner(base, key) end
  return id or nil
end

-- Whether the record is what storing the step made: a repeated write is no stale one.
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

-- Why the step can't be stored over this record, if so.
local function refusal(step, job, drafted)
  if not job or job.seq ~= step.seq or job.version ~= step.version then return STALE end
  if step.lease_until ~= '' and job.lease_until ~= step.lease_until then return STALE end
  if job.unique_key and not FINAL[step.shelf] then
    local other = see_holder(drafted or NO_DRAFT, step.base, job.unique_key)
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

local function note(drafted, job)
  drafted.jobs[job.base .. job.id] = job
  if not job.unique_key then return end
  local key = job.base .. job.unique_key
  if not FINAL[job.shelf] then
    drafted.keys[key] = job.id
  elseif see_holder(drafted, job.base, job.unique_key) == job.id then
    drafted.keys[key] = false
  end
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
  ring(step.base, is_final and FINISHED or READY)
  if shelf == 'held' and job.state == 'cancelled' then ring(step.base, CANCELLED) end
end

local function settle_one(step)
  local job = read(step.base, step.id, FINAL[step.shelf])
  local refused = refusal(step, job)
  if not refused then
    swap(step, job)
  elseif is_stored(step) then
    return STORED
  end
  return refused or STORED
end

local function all_stored(steps)
  for _, step in ipairs(steps) do
    if not is_stored(step) then return false end
  end
  return true
end

-- Try everything on a draft, and only then write it.
local function settle_whole(steps, news)
  if all_stored(steps) then return STORED end
  local drafted = {jobs = {}, keys = {}}
  for _, step in ipairs(steps) do
    local job = see(drafted, step.base, step.id)
    local refused = refusal(step, job, drafted)
    if refused then return refused end
    move(job, step)
    note(drafted, job)
  end
  for _, new in ipairs(news) do
    if drafted.jobs[new.base .. new.id] or is_there(new.base, new.id) then return STALE end
    local key = new.unique_key ~= '' and new.unique_key or nil
    if key and see_holder(drafted, new.base, key) then return KEY_TAKEN end
    note(drafted, {base = new.base, id = new.id, unique_key = key, shelf = 'ready'})
  end
  for _, step in ipairs(steps) do swap(step, read(step.base, step.id)) end
  local before = #news > 0 and reserve(#news)
  for i, new in ipairs(news) do add(new, before + i) end
  return STORED
end

-- One that breaks off must not leave the others half-stored: their records would be written, and on no shelf.
local verdicts, broken = {}, nil
for i = 1, take_number() do
  local parts, additions = take(2)
  local whole, verdict
  if parts == 1 and additions == 0 then
    whole, verdict = pcall(settle_one, take_step())
  else
    whole, verdict = pcall(settle_whole, take_all(parts, take_step), take_all(additions, take_new))
  end
  if whole then verdicts[i] = verdict else broken = broken or verdict end
end
local hints = finish()
if broken then return type(broken) == 'table' and broken or redis.error_reply(broken) end
return reply({moment, verdicts, hints})
