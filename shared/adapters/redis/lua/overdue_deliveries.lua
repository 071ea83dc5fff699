-- Gives the ids of webhook deliveries that wait for a message which nobody has published, the longest overdue first.
--
-- KEYS[1]  the team's unpublished deliveries (sorted set by the moment their next attempt is due)
-- ARGV[1]  due before, in seconds since the epoch
-- ARGV[2]  how many

return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
