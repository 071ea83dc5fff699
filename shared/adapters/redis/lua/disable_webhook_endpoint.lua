-- Disables a webhook endpoint, and puts the notice of it into the outbox if the team has others.
--
-- KEYS[1]  the endpoint (hash)
-- KEYS[2]  the team's events (see prelude.lua)
-- KEYS[3]  the team's outbox
-- ARGV[1]  id
-- ARGV[2]  why
-- ARGV[3]  now, in seconds since the epoch
-- Returns  {1, notices} (the notices are to be published), or {0, {}} if it is disabled or not there

if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'disabled_at') == 1 then
  return { 0, {} }
end
redis.call('HINCRBY', KEYS[2], 'endpoints', -1)
redis.call('HSET', KEYS[1], 'disabled_at', ARGV[3], 'disabled_because', ARGV[2],
  'sequence', redis.call('HINCRBY', KEYS[2], 'sequence', 1))
return { 1, put_into_outbox(KEYS[3], KEYS[2], ARGV[1], '') }
