-- Compare and swap: changes of one step each.
-- Arguments: the number of changes, then the step of each (see `take_step`).
-- Reply: now, a verdict for each change, hints.

return settle_all(function()
  local step = take_step()
  local job = read(step.base, step.id, FINAL[step.shelf])
  local refused = refusal(step, job, owner)
  if refused then return is_stored(step) and STORED or refused end
  swap(step, job)
  return STORED
end)
