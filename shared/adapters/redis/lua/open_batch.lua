-- Begins a batch, unless it is there.
--
-- KEYS[1]  the batch (hash)
-- ARGV[1]  how long an unfinished batch is kept, in milliseconds
-- ARGV[2…] fields and values of the new batch
-- Returns  all fields and values

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 2))
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return redis.call('HGETALL', KEYS[1])
