-- Notes that the message of a webhook delivery's attempt was confirmed.
--
-- KEYS[1]  the delivery (hash); one that is not there is not made
-- KEYS[2]  the team's unpublished deliveries (sorted set by the moment their next attempt is due)
-- ARGV[1]  the attempt's number
-- ARGV[2]  id

local made, queued = unpack(redis.call('HMGET', KEYS[1], 'made', 'queued'))
if queued and tonumber(queued) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'queued', ARGV[1])
end
if not made or tonumber(made) < tonumber(ARGV[1]) then
  redis.call('ZREM', KEYS[2], ARGV[2])
end
