-- Lets a failed job begin anew: it is accepted, and its message is to be published. Any other job is left alone.
--
-- KEYS     as in prelude.lua
-- ARGV[1]  job id
-- ARGV[2–5] the facts of the job (see prelude.lua), as they are from now on
-- ARGV[6]  its message, kept until the publish is confirmed
-- ARGV[7]  milliseconds for which its batch is kept at least
-- Returns  the status that the job has then, or '' if there is no record of it
--
-- What it has behind it moves to `past_attempts`, where nobody counts it any more; an empty line stands between
-- what was before one replay and what was before the next. The same call again finds it accepted.

local id, spec, priority, deadline, tell, message, batch_ms = unpack(ARGV)
local status, attempts, past = unpack(redis.call('HMGET', KEYS[1], 'status', 'attempts', 'past_attempts'))
if status ~= 'failed' then
  return status or ''
end

redis.call('PERSIST', KEYS[1])
local key = idempotency_key()
if key and redis.call('HGET', key, 'job') == id then
  redis.call('PERSIST', key)
end
redis.call('HDEL', KEYS[1], 'outcome', 'finished_at', 'sequence', 'started_at', 'starts', 'lost', 'attempts', 'reply')
if attempts then
  local whole = past and (past .. '\n\n' .. attempts) or attempts
  local _, count = string.gsub(whole, '[^\n]+', '')
  if count > MOST_PAST_ATTEMPTS then -- cut, it has no empty lines any more
    whole = with_line(past, attempts, FIRST_PAST_ATTEMPTS, MOST_PAST_ATTEMPTS)
  end
  redis.call('HSET', KEYS[1], 'past_attempts', whole)
end
redis.call('HSET', KEYS[1], 'status', 'accepted', 'message', message)
redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HINCRBY', KEYS[1], 'revivals', 1)
write_record(id, spec, priority, deadline, tell)
redis.call('ZADD', KEYS[3], now_text(), id)
if has_batch() then
  redis.call('HINCRBY', KEYS[9], 'failed', -1)
  begin_batch_anew(KEYS[9])
  keep_batch_longer(KEYS[9], KEYS[10], tonumber(batch_ms))
end
return 'accepted'
