-- Extend leases and save progress, note the worker's presence, and return the lost leases and those not listed.
-- Arguments: worker, lease, what the worker says of itself; the number of leases, and for each its queue, id, run and
-- progress, which is empty where there is none.
-- Reply: now, the losses as [which lease, why], the ids that were not listed of each queue.

local worker, lease, presence = take(), take_number(), take()
local until_then = text(now + lease)
redis.call('ZADD', GLOBAL .. 'workers', until_then, worker)
redis.call('HSET', GLOBAL .. 'presence', worker, presence)

local lost, listed = {}, {}
for i = 1, take_number() do
  local base, id, run, progress = KEYS[take_number()], take(), take(), take()
  local job = read(base, id)
  listed[base .. id] = true
  if not job then
    lost[#lost + 1] = {i - 1, 'gone'}
  elseif job.run == run and job.shelf == 'held' and job.worker == worker then
    local key = base .. 'job:' .. id
    redis.call('HSET', key, 'lease_until', until_then)
    if progress ~= '' then redis.call('HSET', key, 'progress', progress) end
    redis.call('ZADD', base .. 'held', until_then, job.seq .. id)
  else
    lost[#lost + 1] = {i - 1, job.run == run and job.state == 'cancelled' and 'cancelled' or 'reclaimed'}
  end
end

local unlisted = {}
for i, base in ipairs(KEYS) do
  unlisted[i] = {}
  for _, id in ipairs(redis.call('SMEMBERS', base .. 'held:' .. worker)) do
    local job = not listed[base .. id] and read(base, id)
    if job and job.shelf == 'held' and job.worker == worker then
      table.insert(unlisted[i], id)
    elseif not listed[base .. id] then  -- its record was evicted
      redis.call('SREM', base .. 'held:' .. worker, id)
    end
  end
end
return reply({moment, lost, unlisted})
