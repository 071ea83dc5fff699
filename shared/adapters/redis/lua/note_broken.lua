-- Adds the attempts of a run that was broken off to a job that was cancelled or has expired meanwhile.
--
-- KEYS[1]  the job's record
-- ARGV[1]  the attempts (a line of JSON each)
-- Returns  1; 0 if there is no record, or it has another status, or ends with these attempts already

local status, earlier = unpack(redis.call('HMGET', KEYS[1], 'status', 'attempts'))
if status ~= 'cancelled' and status ~= 'expired' then
  return 0
end
if earlier and string.sub(earlier, -#ARGV[1]) == ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'attempts', earlier and (earlier .. '\n' .. ARGV[1]) or ARGV[1])
return 1
