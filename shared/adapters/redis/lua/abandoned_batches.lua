-- Gives the ids of a team's batches that are open and were opened last long ago.
--
-- KEYS[1]  the team's open batches (see open_batch.lua)
-- ARGV[1]  how long ago, in seconds
-- ARGV[2]  how many

return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', tonumber(now_text()) - ARGV[1], 'LIMIT', 0, ARGV[2])
