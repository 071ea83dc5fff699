-- Gives a job its final status, if the fence is the current one.
--
-- KEYS     as in prelude.lua
-- ARGV[1]  job id
-- ARGV[2]  fence of the run
-- ARGV[3]  its attempts (a line of JSON each), or ''
-- ARGV[4–7] the facts of the job (see prelude.lua), for a record that was lost
-- ARGV[8]  status
-- ARGV[9]  outcome (JSON)
-- ARGV[10] retention in milliseconds
-- ARGV[11] channel of the feed
-- Returns  {1, notices} (the notices are to be published; when it was finished with this fence before, nobody knows
--          here whether they were, and there are none), or {0, {}} if the fence is stale

local id, fence, attempts, spec, priority, deadline, tell, status, outcome, retention_ms, channel = unpack(ARGV)
local current_status, current = unpack(redis.call('HMGET', KEYS[1], 'status', 'fence'))

if not current_status then
  write_record(id, spec, priority, deadline, tell)
  redis.call('HSET', KEYS[1], 'fence', fence, 'starts', 1)
elseif current ~= fence then
  return { 0, {} }
elseif current_status ~= 'running' then
  return { FINAL[current_status] and 1 or 0, {} }
end

if attempts ~= '' then
  add_attempts(attempts)
end
return { 1, end_job(id, status, outcome, tonumber(retention_ms), channel) }
