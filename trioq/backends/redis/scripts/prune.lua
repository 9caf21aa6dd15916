-- Drop the oldest ended jobs of these queues, by age and by number; forget workers that are long gone.
-- Arguments: how many at most; for `ended` and then for `dead`: for how long and how many are kept.
-- Reply: how many were dropped.

local FORGOTTEN = 86400  -- seconds since the end of a worker's last lease
local batch = take_number()
local limits = {{'ended', take_number(), take_number()}, {'dead', take_number(), take_number()}}

local gone = redis.call('ZRANGEBYSCORE', GLOBAL .. 'workers', '-inf', text(now - FORGOTTEN), 'LIMIT', 0, MOST)
bulk('ZREM', GLOBAL .. 'workers', gone)
bulk('HDEL', GLOBAL .. 'presence', gone)

local dropped = 0
local function drop_all(base, shelf, names)
  for _, name in ipairs(names) do
    local job = read(base, string.sub(name, SEQ + 1), true)
    if job and job.seq == string.sub(name, 1, SEQ) then
      drop(job)
    else  -- its record was evicted
      redis.call('ZREM', base .. shelf, name)
      redis.call('ZREM', base .. 'past', name)
      grown[base] = true
    end
    dropped = dropped + 1
  end
  move_now()
end

for _, base in ipairs(KEYS) do
  for _, limit in ipairs(limits) do
    local shelf, keep, most = unpack(limit)
    local key = base .. shelf
    drop_all(base, shelf, redis.call('ZRANGEBYSCORE', key, '-inf', text(now - keep), 'LIMIT', 0, batch - dropped))
    local excess = math.min(redis.call('ZCARD', key) - most, batch - dropped)
    if excess > 0 then drop_all(base, shelf, redis.call('ZRANGE', key, 0, excess - 1)) end
  end
end
finish()
return reply(dropped)
