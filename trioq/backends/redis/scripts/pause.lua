-- Let a queue hand out nothing, or something again.
-- Arguments: whether it is to be paused.
-- Reply: now, hints.

local base, pauses = KEYS[1], take() == '1'
if pauses then
  redis.call('SET', base .. 'paused', 1)
  notify(base, PAUSED)
else
  redis.call('DEL', base .. 'paused')
  notify(base, bit.bor(PAUSED, READY))
end
grown[base] = true
return reply({moment, finish()})
