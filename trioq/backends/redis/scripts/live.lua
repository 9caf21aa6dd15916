-- Which of these jobs, of one queue, have not ended.  No payload and no result is read.
-- Arguments: the ids.
-- Reply: 1 for each id whose job is there and has not ended, else 0.

local found = {}
for i, id in ipairs(take()) do
  local shelf = redis.call('HGET', KEYS[1] .. 'job:' .. id, 'shelf')
  found[i] = shelf and not FINAL[shelf] and 1 or 0
end
return reply(found)
