-- Takes jobs whose retention is over out of a team's index.
--
-- KEYS[1]  the team's jobs
-- KEYS[2]  the team's expiring jobs
-- ARGV[1]  how many at most
-- Returns  how many those were

return sweep(KEYS[1], KEYS[2], ARGV[1])
