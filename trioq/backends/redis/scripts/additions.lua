-- New jobs, and the seqs that are theirs.  It follows `records`.

-- The last seq before so many new ones.  It is never behind the server's clock, so that neither FLUSHALL nor a restart
-- that lost the tail brings a seq back, and a change that was made before it matches no job that came after it.
local function reserve(how_many)
  local seconds, micros = server_time()
  local before = math.max(tonumber(redis.call('GET', GLOBAL .. 'seq') or 0), seconds * 1000000 + micros)
  redis.call('SET', GLOBAL .. 'seq', string.format('%.0f', before + how_many))
  return before
end

-- The arguments of a new job.
local function take_new()
  return {
    base = KEYS[take_number()], id = take(), unique_key = take(), delay = take(), run_at = take(), ttl = take(),
    fields = take(),
  }
end

-- Store a new job: stamped, as `trioq.lifecycle.stamp` says.
local function add(new, seq)
  local job = {base = new.base, id = new.id}
  local fields = new.fields
  for i = 1, #fields, 2 do job[fields[i]] = fields[i + 1] end
  local run_at = new.delay ~= '' and now + tonumber(new.delay) or math.max(now, tonumber(new.run_at))
  job.seq, job.run_at = string.format('%.0f', seq), text(run_at)
  job.state, job.shelf = 'waiting', last_life(job) and 'alone' or 'ready'
  if run_at > now then job.state, job.shelf = 'delayed', 'timed' end
  local stamped = {'seq', job.seq, 'state', job.state, 'shelf', job.shelf, 'created_at', text(now), 'run_at', job.run_at}
  if new.ttl ~= '' then
    job.expires_at = text(now + tonumber(new.ttl))
    stamped[#stamped + 1], stamped[#stamped + 2] = 'expires_at', job.expires_at
  end
  for i = 1, #stamped do fields[#fields + 1] = stamped[i] end
  redis.call('HSET', job.base .. 'job:' .. job.id, unpack(fields))
  added[job.base .. 'job:' .. job.id] = true
  later(knowing, 'ZADD', job.base .. 'live', job.seq, job.seq .. job.id)
  shelve(job)
  keep_key(job)
  count(job.base, job.state, 1)
  ring(job.base, READY)
  grown[job.base] = true
end
