-- Keeps a new webhook endpoint, and counts it as enabled.
--
-- KEYS[1]  the endpoint (hash)
-- KEYS[2]  the team's endpoints (sorted set, all scores 0)
-- KEYS[3]  the team's events (see prelude.lua)
-- ARGV[1]  id; one that is there already stays as it is
-- ARGV[2]  how many a team may have
-- ARGV[3…] fields and values of the endpoint
-- Returns  1, or 0 if the team has as many as it may

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 1
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('HINCRBY', KEYS[3], 'endpoints', 1)
return 1
