-- Counts in the consumers that hold entries but are registered nowhere, so that they can be found dead.
-- Such a one was given up while it was paused, woke up, fetched, and died before it could say that it lives.
--
-- KEYS[1]  sorted set of the consumers
-- KEYS[2]  hash of the work streams
-- ARGV[1]  name of the consumer group
-- ARGV[2]  milliseconds they are given to say that they live
-- Gives    how many there were

local now = server_time()
local found = 0
for _, stream in ipairs(redis.call('HKEYS', KEYS[2])) do
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, ARGV[1])
  if not consumers.err then
    for _, consumer in ipairs(consumers) do
      -- consumer[2] is the name: fields and values take turns
      found = found + redis.call('ZADD', KEYS[1], 'NX', now + ARGV[2], consumer[2])
    end
  end
end
return found
