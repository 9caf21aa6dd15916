-- What the workers say of themselves that have renewed within their lease.
-- Reply: a text of each.

local here = redis.call('ZRANGEBYSCORE', GLOBAL .. 'workers', '(' .. moment, '+inf')
local found = {}
for i, worker in ipairs(here) do found[i] = redis.call('HGET', GLOBAL .. 'presence', worker) end
return reply(found)
