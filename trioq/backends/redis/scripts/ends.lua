-- What a script puts off to its end: moves in the indexes, counts, and hints.  It follows `prelude`.

local leaving, entering = {}, {}  -- key -> elements, and the command that moves them
local knowing = {}  -- the same, of `live` and `past`: a job that they know is on its shelf, if a script breaks off

-- Move in an index once all is decided: one command for many jobs.  All removals come first, so a script that moves one
-- job twice calls `move_now` in between.
local function later(moves, command, key, element, name)
  local elements = moves[key]
  if not elements then
    elements = {command = command}
    moves[key] = elements
  end
  elements[#elements + 1] = element
  if name then elements[#elements + 1] = name end
end

local function move_now()
  for _, moves in ipairs({leaving, entering, knowing}) do
    for key, elements in pairs(moves) do
      bulk(elements.command, key, elements)
      moves[key] = nil
    end
  end
end

local counted = {}  -- base -> state -> by how much

local function count(base, state, by)
  counted[base] = counted[base] or {}
  counted[base][state] = (counted[base][state] or 0) + by
end

local function write_counts()
  for base, states in pairs(counted) do
    for state, by in pairs(states) do
      if by ~= 0 then redis.call('HINCRBY', base .. 'counts', state, by) end
    end
  end
end

local queue_hints = {}  -- base -> hints

local function notify(base, hint)
  queue_hints[base] = bit.bor(queue_hints[base] or 0, hint)
end

local grown = {}  -- bases that got a job, or may have lost their last one

-- A queue is listed while it has a record or is paused.
local function list_queue(base)
  local name = string.sub(base, #GLOBAL + 1, -2)
  if redis.call('EXISTS', base .. 'live', base .. 'past', base .. 'paused') > 0 then
    redis.call('SADD', GLOBAL .. 'queues', name)
  else
    redis.call('SREM', GLOBAL .. 'queues', name)
    redis.call('DEL', base .. 'counts')
  end
end

-- A hint that can't be published is dropped: the write is done, and hints only make it faster.
local function publish(channel, hint)
  if hint ~= 0 then redis.pcall('PUBLISH', channel, hint .. ' ' .. ARGV[3]) end
end

-- Move in the indexes, write the counts, list the queues and publish the hints; return the hints of each queue of the
-- request.
local function finish()
  move_now()
  write_counts()
  for base in pairs(grown) do list_queue(base) end
  local hints = {}
  for i, base in ipairs(KEYS) do
    hints[i] = queue_hints[base] or 0
    if queue_hints[base] then
      publish(base .. 'hints', bit.band(queue_hints[base], bit.bnot(FINISHED)))
      publish(base .. 'ends', bit.band(queue_hints[base], FINISHED))
      queue_hints[base] = nil
    end
  end
  return hints
end
