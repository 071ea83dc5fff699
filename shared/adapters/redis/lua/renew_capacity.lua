-- Holds on to a reservation whose call is under way still, and notes when it was granted.
--
-- KEYS[1], KEYS[2]  the deployment's state, and what is held of it
-- ARGV[1]  the moment, or '' for this server's own clock
-- ARGV[2]  name of the reservation; one that is not held was settled, refused or forgotten, and stays so
-- ARGV[3]  seconds after which it is forgotten, from now
-- Returns  1, or 0 if there was nothing to renew

local now, lifetime = moment(ARGV[1]), tonumber(ARGV[3])
local expires = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2]))
if not expires or expires <= now then
  return 0
end
redis.call('HSETNX', KEYS[1], BEGUN .. ARGV[2], text(expires - lifetime))
redis.call('ZADD', KEYS[2], string.format('%.6f', now + lifetime), ARGV[2])
redis.call('EXPIRE', KEYS[1], STATE_EXPIRES_S)
redis.call('EXPIRE', KEYS[2], STATE_EXPIRES_S)
return 1
