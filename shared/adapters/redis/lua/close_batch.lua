-- Notes that all jobs of a batch have come in.
--
-- KEYS[1]  the batch (hash)
-- KEYS[2]  the batch's jobs (sorted set)
-- KEYS[3]  the team's outbox (see prelude.lua)
-- KEYS[4]  the team's events
-- KEYS[5]  the team's open batches (see open_batch.lua)
-- ARGV[1]  the batch's id
-- ARGV[2]  retention in milliseconds
-- Returns  all fields and values; nothing if there is no such batch

close_batch(ARGV[1], tonumber(ARGV[2]))
return redis.call('HGETALL', KEYS[1])
