-- Gives the ids of jobs that were accepted long ago and are accepted still.
--
-- KEYS[1]  the team's accepted jobs
-- ARGV[1]  how long ago, in seconds
-- ARGV[2]  how many

return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', tonumber(now_text()) - ARGV[1], 'LIMIT', 0, ARGV[2])
