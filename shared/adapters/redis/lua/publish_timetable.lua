-- Lets everybody see the timetable of the leading scheduler.
--
-- KEYS[1]  the leader (hash)
-- KEYS[2]  the timetable (hash: JSON by duty)
-- ARGV[1]  who leads; ARGV[2] its term
-- ARGV[3…] duties, and what JSON says of each
-- Returns  1, or 0 if the term is over

if not leads(KEYS[1], ARGV[1], ARGV[2]) then
  return 0
end
redis.call('DEL', KEYS[2])
if #ARGV > 2 then
  redis.call('HSET', KEYS[2], unpack(ARGV, 3))
end
return 1
