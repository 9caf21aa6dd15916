-- The matching jobs of a queue among the next records after a cursor, by seq.  Where only live states are wanted it
-- reads no finished job, and the other way round.
-- Arguments: cursor, limit, how many records to read, task or nothing, whether to read live and past jobs,
-- the states.
-- Reply: now, records, the next cursor or nothing.

local cursor, limit, page, task = take(), take_number(), take_number(), take()
local lives, pasts = take() == '1', take() == '1'
local wanted = {}
for _, state in ipairs(take()) do wanted[state] = true end

local base = KEYS[1]
local names = {}
local function look(order)
  local next_ones = redis.call('ZRANGEBYSCORE', base .. order, '(' .. cursor, '+inf', 'LIMIT', 0, page)
  for _, name in ipairs(next_ones) do names[#names + 1] = name end
end
if lives then look('live') end
if pasts then look('past') end
table.sort(names)  -- they begin with the seq

local found, reached = {}, nil
for i = 1, math.min(page, #names) do
  local id = string.sub(names[i], SEQ + 1)
  local job = redis.call('HMGET', base .. 'job:' .. id, 'state', 'task', 'seq')
  reached = string.sub(names[i], 1, SEQ)
  if job[3] == reached and wanted[job[1]] and (task == '' or task == job[2]) then
    found[#found + 1] = record(1, id)
    if #found == limit then return reply({moment, found, reached}) end
  end
end
return reply({moment, found, #names >= page and reached or ''})
