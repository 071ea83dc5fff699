-- Takes jobs, or webhook deliveries, whose retention is over out of a team's index.
--
-- KEYS[1]  the team's jobs, or its deliveries
-- KEYS[2]  those of them that expire
-- ARGV[1]  how many at most
-- Returns  how many those were

return sweep(KEYS[1], KEYS[2], ARGV[1])
