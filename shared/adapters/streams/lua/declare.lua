-- Makes work streams, their consumer groups and the stream of dead letters, where they are missing.
--
-- KEYS[1]  hash of the work streams
-- KEYS[2]  stream of the dead letters
-- ARGV[1]  name of the consumer group
-- ARGV[2…] pairs: a work stream; what the hash shall say of it, as JSON:
--          back         the stream that gets its entries when they are given back
--          patience_ms  how long an entry may wait there at most, if that is bounded
--          overdue      the stream it moves to then
-- Gives    the number of groups made

local made = 0
for i = 2, #ARGV, 2 do
  local outcome = redis.pcall('XGROUP', 'CREATE', ARGV[i], ARGV[1], '0', 'MKSTREAM')
  if not outcome.err then
    made = made + 1
  elseif not string.find(outcome.err, 'BUSYGROUP', 1, true) then
    return outcome
  end
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  -- A stream stays when its last entry is gone, so this makes an empty one.
  redis.call('XDEL', KEYS[2], redis.call('XADD', KEYS[2], '*', 'b', ''))
end
return made
