-- Drop records that no worker holds.
-- Arguments: the ids.
-- Reply: for each whether it was dropped.

local dropped = {}
for i, id in ipairs(take()) do
  local job = read(KEYS[1], id, true)
  dropped[i] = job and job.shelf ~= 'held' and 1 or 0
  if dropped[i] == 1 then drop(job) end
end
finish()
return reply(dropped)
