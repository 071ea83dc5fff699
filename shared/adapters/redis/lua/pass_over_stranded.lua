-- Sends jobs that are accepted still, and cannot be published, behind all the others.
--
-- KEYS[1]  the team's accepted jobs
-- ARGV[i]  the id of job i
-- Returns  0

for _, id in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], 'XX', now_text(), id)
end
return 0
