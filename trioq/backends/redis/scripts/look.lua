-- What is known of one queue: how many jobs are in each state, and whether it is paused.
-- Reply: states and counts, whether it is paused.

return reply({redis.call('HGETALL', KEYS[1] .. 'counts'), redis.call('EXISTS', KEYS[1] .. 'paused')})
