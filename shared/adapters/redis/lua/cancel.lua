-- Cancels a job that is not final, and makes the fence of whoever runs it stale.
--
-- KEYS     as in prelude.lua
-- ARGV[1]  job id
-- ARGV[2]  outcome (JSON)
-- ARGV[3]  retention in milliseconds
-- ARGV[4]  channel of the feed
-- ARGV[5]  up to when its message may be kept from running; ARGV[6] how long it may wait after that, in seconds
-- ARGV[7…] fields of the record
-- Returns  the values of those fields as they are then

local id, outcome, retention_ms, channel, comes_at, waits_s = unpack(ARGV)
local status = redis.call('HGET', KEYS[1], 'status')
if status and not FINAL[status] then
  redis.call('HINCRBY', KEYS[1], 'fence', 1)
  end_job(id, 'cancelled', outcome, tonumber(retention_ms), channel, until_no_message_comes(comes_at, waits_s))
end
return redis.call('HMGET', KEYS[1], unpack(ARGV, 7))
