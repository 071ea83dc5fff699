-- Ends a job whose deadline is over, and makes the fence of whoever runs it stale.
--
-- KEYS     as in prelude.lua
-- ARGV[1]  job id
-- ARGV[2]  outcome (JSON)
-- ARGV[3]  retention in milliseconds
-- ARGV[4]  channel of the feed
-- ARGV[5]  up to when its message may be kept from running; ARGV[6] how long it may wait after that, in seconds
-- ARGV[7]  seconds for which a job that runs is left to its worker
-- ARGV[8…] fields of the record
-- Returns  {1, notices to be published, the values of those fields}; or, if it was left as it is, {0}

local id, outcome, retention_ms, channel, comes_at, waits_s, patience = unpack(ARGV)
local status, deadline = redis.call('HGET', KEYS[1], 'status'), redis.call('ZSCORE', KEYS[6], id)
if not deadline then
  return { 0 }
elseif not status or FINAL[status] then -- its record was lost, or the index was written again after its end
  redis.call('ZREM', KEYS[6], id)
  return { 0 }
end
local overdue = tonumber(now_text()) - deadline
if overdue < 0 or (status == 'running' and overdue < tonumber(patience)) then
  return { 0 }
end
redis.call('HINCRBY', KEYS[1], 'fence', 1)
local kept_ms = until_no_message_comes(comes_at, waits_s)
local notices = end_job(id, 'expired', outcome, tonumber(retention_ms), channel, kept_ms)
return { 1, notices, redis.call('HMGET', KEYS[1], unpack(ARGV, 8)) }
