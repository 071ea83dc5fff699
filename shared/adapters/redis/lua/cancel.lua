-- Cancels a job that is not final, and makes the fence of whoever runs it stale. One that is withdrawn is as if it had
-- never come: nobody is told, and neither its team's listing nor its batch has it any more. Its record stays, so that
-- its message, should there be one, runs nothing.
--
-- KEYS     as in prelude.lua
-- ARGV[1]  job id
-- ARGV[2]  outcome (JSON)
-- ARGV[3]  retention in milliseconds
-- ARGV[4]  channel of the feed
-- ARGV[5]  up to when its message may be kept from running; ARGV[6] how long it may wait after that, in seconds
-- ARGV[7]  1 if it is withdrawn
-- ARGV[8…] fields of the record
-- Returns  the values of those fields as they are then

local id, outcome, retention_ms, channel, comes_at, waits_s, is_withdrawn = unpack(ARGV)
local status = redis.call('HGET', KEYS[1], 'status')
if status and not FINAL[status] then
  redis.call('HINCRBY', KEYS[1], 'fence', 1)
  if is_withdrawn == '1' then
    redis.call('ZREM', KEYS[2], id)
    if has_batch() and redis.call('ZREM', KEYS[10], id) == 1 then
      redis.call('HINCRBY', KEYS[9], 'total', -1)
    end
  end
  local known_ms = until_no_message_comes(comes_at, waits_s)
  end_job(id, 'cancelled', outcome, tonumber(retention_ms), channel, known_ms, is_withdrawn == '1')
end
return redis.call('HMGET', KEYS[1], unpack(ARGV, 8))
