-- Records a new job, unless it is there or its idempotency key was used before.
--
-- KEYS     as in prelude.lua
-- ARGV[1]  job id
-- ARGV[2]  status: accepted, or a final one
-- ARGV[3–6] the facts of the job (see prelude.lua)
-- ARGV[7]  the message if the status is accepted, else the outcome (JSON)
-- ARGV[8]  retention in milliseconds
-- ARGV[9]  channel of the feed
-- ARGV[10] the field of the team's backlog that the job counts in, or '' if it counts in none
-- ARGV[11] milliseconds for which its batch is kept at least
-- ARGV[12] digest of the body, only with an idempotency key
-- Returns  {'new', id, status, backlog, notices}, or {'repeated' | 'conflict', id of the first job, '', backlog, {}};
--          the backlog is the count of that field then, the notices are to be published

local id, status, spec, priority, deadline, tell, payload, retention_ms, channel, counted_as, batch_ms, digest = unpack(ARGV)
local idempotency = idempotency_key()

local function backlog()
  return counted_as ~= '' and redis.call('HGET', KEYS[5], counted_as) or '0'
end

if idempotency then
  local first, its_digest = unpack(redis.call('HMGET', idempotency, 'job', 'digest'))
  if first and first ~= id then
    return { its_digest == digest and 'repeated' or 'conflict', first, '', backlog(), {} }
  end
end

local known = redis.call('HGET', KEYS[1], 'status')
if known then
  return { 'new', id, known, backlog(), {} }
end

if idempotency then
  redis.call('HSET', idempotency, 'job', id, 'digest', digest)
  redis.call('PERSIST', idempotency) -- it stands for the job until that is forgotten
end
write_record(id, spec, priority, deadline, tell)
if has_batch() then
  redis.call('HINCRBY', KEYS[9], 'total', 1)
  begin_batch_anew(KEYS[9])
  if redis.call('HDEL', KEYS[9], 'resumed') == 1 then -- an upload that was cut goes on, and will close it
    redis.call('HSET', KEYS[9], 'is_open', 1)
  end
  keep_batch_longer(KEYS[9], KEYS[10], tonumber(batch_ms))
end
local notices = {}
if status == 'accepted' then
  redis.call('HSET', KEYS[1], 'status', status, 'message', payload)
  redis.call('ZADD', KEYS[3], now_text(), id)
  if counted_as ~= '' then
    redis.call('HSET', KEYS[1], 'counted_as', counted_as)
    redis.call('HINCRBY', KEYS[5], counted_as, 1)
  end
else
  notices = end_job(id, status, payload, tonumber(retention_ms), channel)
end
return { 'new', id, status, backlog(), notices }
