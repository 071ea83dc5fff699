-- Gives ids from an index, newest first, after removing some whose retention is over.
--
-- KEYS[1]  the index: a team's jobs, or a batch's
-- KEYS[2]  the team's expiring jobs
-- KEYS[3]  the team's jobs
-- ARGV[1]  upper end of the range, as ZREVRANGEBYLEX takes it
-- ARGV[2]  how many

sweep(KEYS[3], KEYS[2], 1000)
return redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[1], '-', 'LIMIT', 0, ARGV[2])
