-- Forgets a webhook endpoint; one that was enabled is counted no more.
--
-- KEYS[1]  the endpoint (hash)
-- KEYS[2]  the team's endpoints (sorted set)
-- KEYS[3]  the team's events (see prelude.lua)
-- ARGV[1]  id
-- Returns  all fields and values that it had; nothing if there is no such endpoint

local was = redis.call('HGETALL', KEYS[1])
if #was > 0 then
  if redis.call('HEXISTS', KEYS[1], 'disabled_at') == 0 then
    redis.call('HINCRBY', KEYS[3], 'endpoints', -1)
  end
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return was
