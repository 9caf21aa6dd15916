-- Jobs by id, of one queue.
-- Arguments: the ids.
-- Reply: now, a record for each id; without fields where there is no such job.

local found = {}
for i, id in ipairs(take()) do found[i] = record(1, id) end
return reply({moment, found})
