-- New jobs and their seqs.  It follows `records`.

-- Reserve so many seqs; return the last one before them.  It is never behind the server's clock, so neither FLUSHALL
-- nor a restart that lost the tail brings a seq back.  So a change from before that matches no job that came after it.
local function reserve(how_many)
  local seconds, micros = server_time()
  local before = math.max(tonumber(redis.call('GET', GLOBAL .. 'seq') or 0), seconds * 1000000 + micros)
  redis.call('SET', GLOBAL .. 'seq', string.format('%.0f', before + how_many))
  return before
end

-- The arguments of a new job; the last are the names and values of its fields.
local function take_new()
  local queue, id, unique_key, delay, run_at, ttl, words = take(7)
  local first, last = take_words(words)
  return {
    index = queue, base = KEYS[queue], id = id, key = KEYS[queue] .. 'job:' .. id, unique_key = unique_key,
    delay = delay, run_at = run_at, ttl = ttl, first = first, last = last,
  }
end

-- Store a new job: stamped, as `trioq.lifecycle.stamp` says.
local function add(new, number)
  local run_at = new.delay ~= '' and now + tonumber(new.delay) or math.max(now, tonumber(new.run_at))
  local seq = string.format('%.0f', number)
  local job = filled({
    base = new.base, id = new.id, key = new.key, name = seq .. new.id, seq = seq, state = 'waiting', shelf = 'ready',
    run_at = run_at > now and text(run_at) or moment, expires_at = new.ttl ~= '' and text(now + tonumber(new.ttl)),
    priority = 0, crashes = 0, max_crashes = 0, unique_key = false,
  }, arguments, new.first, new.last)
  if run_at > now then
    job.state, job.shelf = 'delayed', 'timed'
  elseif last_life(job) then
    job.shelf = 'alone'
  end
  redis.call('HSET', job.key, 'seq', job.seq, 'state', job.state, 'shelf', job.shelf, 'created_at', moment,
    'run_at', job.run_at, unpack(arguments, new.first, new.last))
  if job.expires_at then redis.call('HSET', job.key, 'expires_at', job.expires_at) end
  added[job.key] = true
  later(knowing, 'ZADD', job.base .. 'live', job.seq, job.name)
  shelve(job)
  keep_key(job)
  count(job.base, job.state, 1)
  notify(job.base, READY)
  grown[job.base] = true
end
