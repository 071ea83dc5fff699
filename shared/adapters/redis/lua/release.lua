-- Ends a run without an outcome: the job is queued again.
--
-- KEYS     as in prelude.lua
-- ARGV[1]  job id
-- ARGV[2]  fence of the run
-- ARGV[3]  its attempts (a line of JSON each), or '' to take back the start
-- ARGV[4–7] the facts of the job (see prelude.lua), for a record that was lost
-- Returns  1, or 0 if the fence is stale

local id, fence, attempts, spec, priority, deadline, tell = unpack(ARGV)
local status, current = unpack(redis.call('HMGET', KEYS[1], 'status', 'fence'))

if not status then
  write_record(id, spec, priority, deadline, tell)
  redis.call('HSET', KEYS[1], 'fence', fence, 'starts', 1)
elseif current ~= fence then
  return 0
elseif status ~= 'running' then
  return status == 'queued' and 1 or 0
end

redis.call('HSET', KEYS[1], 'status', 'queued')
redis.call('HDEL', KEYS[1], 'holder', 'token')
if attempts ~= '' then
  add_attempts(attempts)
  note_change(KEYS[1], 'queued')
else
  take_back_change(KEYS[1], 'queued')
  if redis.call('HINCRBY', KEYS[1], 'starts', -1) == 0 then
    redis.call('HDEL', KEYS[1], 'started_at')
  end
end
return 1
