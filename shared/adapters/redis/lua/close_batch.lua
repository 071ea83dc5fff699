-- Notes that all jobs of a batch have come in.
--
-- KEYS[1]  the batch (hash)
-- KEYS[2]  the batch's jobs (sorted set)
-- KEYS[3]  the team's outbox (see prelude.lua)
-- KEYS[4]  the team's events
-- ARGV[1]  retention in milliseconds
-- Returns  all fields and values; nothing if there is no such batch

if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'is_open', 0)
  redis.call('HDEL', KEYS[1], 'resumed')
  settle_batch(KEYS[1], KEYS[2], KEYS[3], KEYS[4], tonumber(ARGV[1]))
end
return redis.call('HGETALL', KEYS[1])
