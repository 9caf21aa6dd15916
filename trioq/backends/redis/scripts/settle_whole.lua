-- Compare and swap: changes of several parts, each of which is stored whole or not at all.
-- Arguments: the number of changes; for each the number of its steps and that of its new jobs, each step (see
-- `take_step`), and each new job (see `take_new`).
-- Reply: now, a verdict for each change, hints.

-- A draft is what the steps of one change see of those before them: an index can't undo an entry.

local function see(drafted, base, id)
  local name = base .. id
  if drafted.jobs[name] == nil then drafted.jobs[name] = read(base, id) or false end
  return drafted.jobs[name]
end

local function see_owner(drafted, base, key)
  local id = drafted.keys[base .. key]
  if id == nil then return owner(base, key) end
  return id or nil
end

local function note(drafted, job)
  drafted.jobs[job.base .. job.id] = job
  if not job.unique_key then return end
  local key = job.base .. job.unique_key
  if not FINAL[job.shelf] then
    drafted.keys[key] = job.id
  elseif see_owner(drafted, job.base, job.unique_key) == job.id then
    drafted.keys[key] = false
  end
end

local function all_stored(steps)
  for _, step in ipairs(steps) do
    if not is_stored(step) then return false end
  end
  return true
end

-- Why the change can't be stored, if so.
local function try(steps, news)
  local drafted = {jobs = {}, keys = {}}
  local function owner_then(base, key) return see_owner(drafted, base, key) end
  for _, step in ipairs(steps) do
    local job = see(drafted, step.base, step.id)
    local refused = refusal(step, job, owner_then)
    if refused then return refused end
    move(job, step)
    note(drafted, job)
  end
  for _, new in ipairs(news) do
    if drafted.jobs[new.base .. new.id] or is_there(new.base, new.id) then return STALE end
    local key = new.unique_key ~= '' and new.unique_key or nil
    if key and see_owner(drafted, new.base, key) then return KEY_TAKEN end
    note(drafted, {base = new.base, id = new.id, unique_key = key, shelf = 'ready'})
  end
end

return settle_all(function()
  local how_many, additions = take(2)
  local steps, news = take_all(how_many, take_step), take_all(additions, take_new)
  if all_stored(steps) then return STORED end
  local refused = try(steps, news)
  if refused then return refused end
  for _, step in ipairs(steps) do swap(step, read(step.base, step.id)) end
  local before = #news > 0 and reserve(#news)
  for i, new in ipairs(news) do add(new, before + i) end
  return STORED
end)
