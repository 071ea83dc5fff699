-- Gives the notices of a team that were put into its outbox long ago, and are there still.
--
-- KEYS[1]  the team's outbox (see prelude.lua)
-- ARGV[1]  how long ago, in seconds
-- ARGV[2]  how many

return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', tonumber(now_text()) - ARGV[1], 'LIMIT', 0, ARGV[2])
