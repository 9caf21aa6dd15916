-- Held jobs whose lease ran out, the longest ago first, then unclaimed ones whose time to live did, of all queues.
-- Arguments: limit.
-- Reply: now, records as [queue, id, names and values].

local limit = take_number()
local found = {}

local function look(queue, index)
  local base = GLOBAL .. queue .. ':'
  local names = redis.call('ZRANGEBYSCORE', base .. index, '-inf', moment, 'LIMIT', 0, limit - #found)
  for _, name in ipairs(names) do
    local id = string.sub(name, SEQ + 1)
    local key = base .. 'job:' .. id
    if redis.call('HGET', key, 'seq') == string.sub(name, 1, SEQ) then
      found[#found + 1] = {queue, id, redis.call('HGETALL', key)}
    else
      redis.call('ZREM', base .. index, name)  -- its record was evicted
    end
  end
end

local queues = redis.call('SMEMBERS', GLOBAL .. 'queues')
for _, index in ipairs({'held', 'expiring'}) do
  for _, queue in ipairs(queues) do look(queue, index) end
end
return reply({moment, found})
