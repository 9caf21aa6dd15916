-- The layout of these keys; where there is none yet, ours.
-- Arguments: the layout that we know.
-- Reply: the layout that is there.

redis.call('SETNX', GLOBAL .. 'layout', take())
return reply(redis.call('GET', GLOBAL .. 'layout'))
