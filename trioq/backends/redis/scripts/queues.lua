-- The queues that have a record or are paused.
-- Reply: their names, as they stand in their keys.

return reply(redis.call('SMEMBERS', GLOBAL .. 'queues'))
