-- Returns what dead consumers held to the queues, and forgets these consumers.
--
-- KEYS[1]  sorted set of the consumers
-- KEYS[2]  hash of the work streams (see declare.lua)
-- ARGV[1]  name of the consumer group
-- ARGV[2]  how many entries to move at most
-- Gives    how many were moved (as many as ARGV[2]: there may be more)
--
-- Costs one look at the sorted set while nobody is dead.

local group, limit = ARGV[1], tonumber(ARGV[2])
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', server_time(), 'LIMIT', 0, 16)
if #dead == 0 then
  return 0
end

local moved = 0
local known = redis.call('HGETALL', KEYS[2])
for _, consumer in ipairs(dead) do
  for i = 1, #known, 2 do
    local stream, back = known[i], cjson.decode(known[i + 1]).back
    local held = redis.pcall('XPENDING', stream, group, '-', '+', limit - moved, consumer)
    if not held.err then
      for _, entry in ipairs(held) do
        add_again(back, release(stream, group, entry[1]), entry[1])
      end
      moved = moved + #held
      if moved >= limit then
        return moved
      end
      redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
    end
  end
  redis.call('ZREM', KEYS[1], consumer)
end
return moved
