-- Counts a queue's messages.
--
-- KEYS     the queue's streams
-- ARGV[1]  name of the consumer group
-- Gives    waiting to be delivered, delivered and not acknowledged; nothing if a stream does not exist

local length, pending = 0, 0
for _, stream in ipairs(KEYS) do
  local summary = redis.pcall('XPENDING', stream, ARGV[1])
  if summary.err then
    return false
  end
  length = length + redis.call('XLEN', stream)
  pending = pending + summary[1]
end
return { length - pending, pending }
