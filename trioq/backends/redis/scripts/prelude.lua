-- What every script begins with: the names of the keys, its arguments, and the time.  Four files follow, and then a
-- verb: `ends` (what waits for the end), `records` (a job's record, and where it lies), `additions` (new jobs) and
-- `steps` (a step over a record).
-- A script gets the paragraphs of them that define a name it uses: anything else in a paragraph would not be done.
--
-- All keys of a store begin with its prefix in braces, "{trioq}:", and so lie in one slot of a cluster.  They must: a
-- change may span queues, and a seq is the store's.  Those of a queue go on with its name, "{trioq}:emails:", in which
-- a colon is written %3A:
--   job:ID      a hash for each job; a field that has its default is absent, times are written with 17 digits
--   ready       jobs to claim, all scored 0: their order is in their names (see `rank`)
--   alone       the same, of jobs on their last life
--   timed       by run_at;  held  by lease_until;  ended, dead  by finished_at
--   held:WORKER what a worker holds, as a set of ids
--   expiring    what lies on ready, alone or timed and has a time to live, by expires_at
--   live, past  every job by seq: those that are not final, and those that are
--   keys        unique key -> the id of the live job that has it
--   counts      state -> how many jobs are in it
--   paused      is there while the queue is paused
-- and two channels: hints are published on `hints`, and on `ends` that jobs have ended.
-- These belong to no queue:
--   seq         the last seq;  layout  the number of this layout;  queues  those that have a record or are paused
--   workers     those that have renewed, by when that lease ends;  presence  what each said of itself
--
-- KEYS     what the keys of each queue of the request begin with
-- ARGV[1]  the store's now; empty: the server's clock
-- ARGV[2]  what all keys begin with
-- ARGV[3]  the process that asks: its own hints are in the reply, and it ignores them when they are published
-- ARGV[4]  the arguments of the verb, one after the other, packed into one string

local GLOBAL = ARGV[2]
local READY, CANCELLED, FINISHED, PAUSED = 1, 2, 4, 8  -- the values of `Hint`
local SEQ = 16   -- digits of a seq: it begins with the server's microseconds, and has no more until the year 2286
local RANK = 25  -- characters of a rank
local MOST = 1000  -- elements in one command: Lua unpacks no more than 8,000

-- --- arguments and numbers ------------------------------------------------------------------------

-- The next argument, or so many of them.
local arguments, at = cmsgpack.unpack(ARGV[4]), 0
local function take(how_many)
  local first = at + 1
  at = at + (how_many or 1)
  return unpack(arguments, first, at)
end

-- The first and the last place of so many arguments: they are passed on as they are, without a table.
local function take_words(how_many)
  local first = at + 1
  at = at + how_many
  return first, at
end

local function take_all(how_many, take_one)
  local taken = {}
  for i = 1, how_many do taken[i] = take_one() end
  return taken
end

local function take_number()
  return tonumber(take())
end

-- Exact, and the same for each double: two times are equal where their texts are.
local function text(number)
  return string.format('%.17g', number)
end

local function server_time()
  local time = redis.call('TIME')
  return tonumber(time[1]), tonumber(time[2])
end

local now = tonumber(ARGV[1])
if not now then
  local seconds, micros = server_time()
  now = seconds + micros / 1000000
end
local moment = text(now)  -- as a field holds it

-- Pack the answer of a script as its arguments are: a client reads one string faster than a tree of them.
local function reply(answer)
  return cmsgpack.pack(answer)
end

-- A command on many elements, a thousand at a time.
local function bulk(command, key, elements)
  for first = 1, #elements, MOST do
    redis.call(command, key, unpack(elements, first, math.min(first + MOST - 1, #elements)))
  end
end
