-- Puts the notice of a provider's change into a team's outbox, if the team has endpoints and was not told of it before.
--
-- KEYS[1]  the change, as the team is told it (hash)
-- KEYS[2]  the team's events (see prelude.lua)
-- KEYS[3]  the team's outbox
-- ARGV[1]  id
-- ARGV[2…] fields and values of the change
-- Returns  the notices to be published

local endpoints = tonumber(redis.call('HGET', KEYS[2], 'endpoints') or '0')
if endpoints <= 0 or redis.call('EXISTS', KEYS[1]) == 1 then
  return {}
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('HSET', KEYS[1], 'sequence', redis.call('HINCRBY', KEYS[2], 'sequence', 1))
redis.call('PEXPIRE', KEYS[1], TELLING_MS)
return put_into_outbox(KEYS[3], KEYS[2], ARGV[1], '')
