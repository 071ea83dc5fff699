-- Grants an attempt of a webhook delivery, if it is due and nobody makes it.
--
-- KEYS[1]  the delivery (hash)
-- ARGV[1]  the attempt's number
-- ARGV[2]  now, in seconds since the epoch, by the clock that says when attempts are due
-- ARGV[3]  for how long it is the caller's alone, in seconds
-- Returns  {'granted' | 'early' | 'held' | 'over' | 'gone', all fields and values}

local status, made, next_at, held_until = unpack(redis.call('HMGET', KEYS[1],
  'status', 'made', 'next_attempt_at', 'held_until'))
local turn = 'granted'
if not status then
  turn = 'gone'
elseif status ~= 'pending' or tonumber(made) >= tonumber(ARGV[1]) then
  turn = 'over'
elseif next_at and tonumber(next_at) > tonumber(ARGV[2]) then
  turn = 'early'
elseif held_until and tonumber(held_until) > tonumber(now_text()) then
  turn = 'held'
else
  redis.call('HSET', KEYS[1], 'held_until', string.format('%.6f', now_text() + ARGV[3]))
end
return { turn, redis.call('HGETALL', KEYS[1]) }
