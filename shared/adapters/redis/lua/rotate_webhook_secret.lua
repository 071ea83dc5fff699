-- Puts a new secret in the place of the one that signs; that one stays valid for a while.
--
-- KEYS[1]  the endpoint, or the team's own secret (hash); one that is not there is not made
-- ARGV[1]  the new secret
-- ARGV[2]  until when the older one is valid, in seconds since the epoch
-- Returns  all fields and values; nothing if there is none

local older = redis.call('HGET', KEYS[1], 'secret')
if older and older ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'secret', ARGV[1], 'older_secret', older, 'older_until', ARGV[2])
end
return redis.call('HGETALL', KEYS[1])
