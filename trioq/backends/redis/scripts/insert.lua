-- Add new jobs; those whose id or unique key is taken answer with the job that has it.
-- Arguments: the number of jobs, then each (see `take_new`).
-- Reply: now, the seq before the first job's, the known jobs as [which of the batch, record], hints.

local how_many = take_number()
local before = reserve(how_many)
local news = take_all(how_many, take_new)
local some_exist, known = any_exists(news), {}
for i, new in ipairs(news) do
  local id = new.id
  if not (added[new.key] or some_exist and is_there(new.base, id)) then
    id = new.unique_key ~= '' and owner(new.base, new.unique_key) or nil
  end
  if id then
    known[#known + 1] = {i - 1, record(new.index, id)}
  else
    add(new, before + i)
  end
end
return reply({moment, string.format('%.0f', before), known, finish()})
