-- Lets a webhook delivery have a new first attempt, whatever became of it.
--
-- KEYS[1]  the delivery (hash)
-- KEYS[2]  the team's expiring deliveries (sorted set by time)
-- KEYS[3]  the deliveries of the same subject
-- KEYS[4]  the team's unpublished deliveries (sorted set by the moment their next attempt is due)
-- ARGV[1]  id
-- ARGV[2]  now, in seconds since the epoch
-- ARGV[3]  how long it is kept after its last change, in milliseconds
-- Returns  all fields and values; nothing if there is no such delivery

if redis.call('EXISTS', KEYS[1]) == 1 then
  local made = redis.call('HGET', KEYS[1], 'made')
  -- A message of this attempt may be published, but for a later moment: it counts as none.
  redis.call('HSET', KEYS[1], 'status', 'pending', 'made_before', made, 'queued', made,
    'began_at', ARGV[2], 'next_attempt_at', ARGV[2])
  redis.call('ZADD', KEYS[4], ARGV[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
  redis.call('ZADD', KEYS[2], now_text() + ARGV[3] / 1000, ARGV[1])
end
return redis.call('HGETALL', KEYS[1])
