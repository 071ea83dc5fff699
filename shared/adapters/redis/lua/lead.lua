-- Takes or renews the lease of the leading scheduler.
--
-- KEYS[1]  the leader (hash: name, term, since, until)
-- ARGV[1]  who asks
-- ARGV[2]  seconds of the lease
-- Returns  the term, which grows with each lease that is not a renewal; 0: another leads

local now = tonumber(now_text())
local name, ends = unpack(redis.call('HMGET', KEYS[1], 'name', 'until'))
local runs = ends and tonumber(ends) > now
if runs and name ~= ARGV[1] then
  return 0
end
if not runs then
  redis.call('HINCRBY', KEYS[1], 'term', 1)
  redis.call('HSET', KEYS[1], 'name', ARGV[1], 'since', now_text())
end
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', now + ARGV[2]))
return tonumber(redis.call('HGET', KEYS[1], 'term'))
