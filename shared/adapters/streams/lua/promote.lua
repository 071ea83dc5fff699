-- Moves delayed messages whose time has come into their streams.
--
-- KEYS[1]  sorted set of the delayed messages
-- KEYS[2]  stream of the dead letters, for those whose own stream is gone
-- ARGV[1]  how many to move at most
-- Gives    how many were due (as many as ARGV[1]: there may be more), milliseconds until the next is (-1: there is none)

local now = server_time()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  local delayed = cmsgpack.unpack(member)
  local stream, body, job, headers = delayed[3], delayed[4], delayed[5], delayed[6]
  if not redis.call('XADD', stream, 'NOMKSTREAM', '*', 'b', body, 'j', job, 'h', headers) then
    redis.call('XADD', KEYS[2], '*', 'b', body, 'j', job, 'h', headers, 'reason', 'its queue is gone: ' .. stream)
  end
  redis.call('ZREM', KEYS[1], member)
end
local following = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return { #due, following[2] and math.max(0, following[2] - now) or -1 }
