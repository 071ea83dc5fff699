-- Puts a deployment's change in the place of the one before it.
--
-- KEYS[1]  the last changes of all deployments (hash)
-- ARGV[1]  the deployment
-- ARGV[2]  the change that must stand there, or '' for none
-- ARGV[3]  the change
-- Returns  1, or 0 if another one stands there

if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
