-- Notes how an attempt of a webhook delivery ended, and what follows; the first who does so is right.
--
-- KEYS[1]  the delivery (hash)
-- KEYS[2]  the team's expiring deliveries (sorted set by time)
-- KEYS[3]  the deliveries of the same subject
-- KEYS[4]  the team's unpublished deliveries (sorted set by the moment their next attempt is due)
-- ARGV[1]  id
-- ARGV[2]  the attempt's number
-- ARGV[3]  the attempt (a line of JSON)
-- ARGV[4]  status
-- ARGV[5]  when the next attempt is due, in seconds since the epoch, or ''
-- ARGV[6]  how long it is kept after its last change, in milliseconds
-- ARGV[7]  how many attempts are kept, the last ones
-- Returns  1, or 0 if that attempt was noted before

local id, number, attempt, status, next_at, kept_ms, most = unpack(ARGV)
local made, earlier, queued = unpack(redis.call('HMGET', KEYS[1], 'made', 'attempts', 'queued'))
if not made or tonumber(made) + 1 ~= tonumber(number) then
  return 0
end
redis.call('HSET', KEYS[1], 'made', number, 'status', status,
  'attempts', with_line(earlier, attempt, 0, tonumber(most)))
redis.call('HDEL', KEYS[1], 'held_until')
if next_at == '' then
  redis.call('HDEL', KEYS[1], 'next_attempt_at')
else
  redis.call('HSET', KEYS[1], 'next_attempt_at', next_at)
end
if next_at ~= '' and tonumber(queued) <= tonumber(number) then
  redis.call('ZADD', KEYS[4], next_at, id)
else
  redis.call('ZREM', KEYS[4], id)
end
redis.call('PEXPIRE', KEYS[1], kept_ms)
redis.call('PEXPIRE', KEYS[3], kept_ms)
redis.call('ZADD', KEYS[2], now_text() + kept_ms / 1000, id)
return 1
