-- Gives the ids of a team's unfinished jobs in the order of their deadlines.
--
-- KEYS[1]  the team's deadlines (see prelude.lua)
-- ARGV[1]  seconds from now to the earliest deadline, or '' for any; ARGV[2] to the latest
-- ARGV[3]  how many to pass over; ARGV[4] how many to give

local now = tonumber(now_text())
local earliest = ARGV[1] == '' and '-inf' or string.format('%.6f', now + ARGV[1])
return redis.call('ZRANGEBYSCORE', KEYS[1], earliest, string.format('%.6f', now + ARGV[2]), 'LIMIT', ARGV[3], ARGV[4])
