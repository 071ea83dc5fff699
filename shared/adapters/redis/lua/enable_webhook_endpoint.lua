-- Enables a webhook endpoint again, and forgets that it failed.
--
-- KEYS[1]  the endpoint (hash)
-- KEYS[2]  the team's events (see prelude.lua)
-- Returns  all fields and values; nothing if there is no such endpoint

if redis.call('HDEL', KEYS[1], 'disabled_at') == 1 then
  redis.call('HDEL', KEYS[1], 'disabled_because', 'failing_since', 'failing_last_at')
  redis.call('HINCRBY', KEYS[2], 'endpoints', 1)
end
return redis.call('HGETALL', KEYS[1])
