-- Records a webhook delivery, unless it is there.
--
-- KEYS[1]  the delivery (hash)
-- KEYS[2]  the team's deliveries (sorted set, all scores 0)
-- KEYS[3]  the team's expiring deliveries (sorted set by time)
-- KEYS[4]  the deliveries of the same subject (sorted set, all scores 0)
-- KEYS[5]  the team's unpublished deliveries (sorted set by the moment their next attempt is due)
-- ARGV[1]  id
-- ARGV[2]  how long it is kept after its last change, in milliseconds
-- ARGV[3]  when its first attempt is due, in seconds since the epoch
-- ARGV[4…] fields and values of the new delivery
-- Returns  all fields and values

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 4))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  sweep(KEYS[2], KEYS[3], SWEPT_AT_ONCE)
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
  redis.call('ZADD', KEYS[3], now_text() + ARGV[2] / 1000, ARGV[1])
  redis.call('ZADD', KEYS[4], 0, ARGV[1])
  redis.call('PEXPIRE', KEYS[4], ARGV[2])
  redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
end
return redis.call('HGETALL', KEYS[1])
