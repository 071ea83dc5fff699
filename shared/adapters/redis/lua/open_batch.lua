-- Begins a batch. One that is there is open again: its upload goes on. But one that has ended begins anew only with its
-- first new job (see accept.lua), so that an upload which is merely repeated ends nothing a second time. One with another
-- webhook stays as it is: the caller sees that in what is returned.
--
-- KEYS[1]  the batch (hash)
-- KEYS[2]  the team's open batches (sorted set by the moment at which each was opened last)
-- ARGV[1]  the batch's id
-- ARGV[2]  how long an unfinished batch is kept, in milliseconds
-- ARGV[3]  the new batch's webhook; empty: none
-- ARGV[4…] fields and values of the new batch
-- Returns  all fields and values

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 4))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif (redis.call('HGET', KEYS[1], 'webhook') or '') ~= ARGV[3] then
  return redis.call('HGETALL', KEYS[1])
elseif redis.call('HEXISTS', KEYS[1], 'finished_at') == 1 then
  redis.call('HSET', KEYS[1], 'resumed', 1)
else
  redis.call('HSET', KEYS[1], 'is_open', 1)
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
end
redis.call('ZADD', KEYS[2], now_text(), ARGV[1])
return redis.call('HGETALL', KEYS[1])
