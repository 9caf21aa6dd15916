-- Add new jobs; those whose id or unique key is taken answer with the job that has it.
-- Arguments: the number of jobs, then each (see `take_new`).
-- Reply: now, the seq before the first job's, the known jobs as [which of the batch, record], hints.

local how_many = take_number()
local before = reserve(how_many)
local known = {}
for i = 1, how_many do
  local index = tonumber(arguments[at + 1])
  local new = take_new()
  local id = new.id
  if not is_there(new.base, id) then
    id = new.unique_key ~= '' and owner(new.base, new.unique_key) or nil
  end
  if id then
    known[#known + 1] = {i - 1, record(index, id)}
  else
    add(new, before + i)
  end
end
return reply({text(now), string.format('%.0f', before), known, finish()})
