-- Gives a job to a worker, if it is free or held by the one the worker may take it from.
--
-- KEYS     as in prelude.lua
-- ARGV[1]  job id
-- ARGV[2]  worker
-- ARGV[3]  the holder it may be taken from, or ''
-- ARGV[4]  a token of this claim: the same one again is the same claim, repeated after a lost reply
-- ARGV[5–8] the facts of the job (see prelude.lua), for a record that was lost
-- ARGV[9]  1 if the holder lives, and could only not let go
-- Returns  {'granted' | 'held' | 'finished', fence, holder, starts, lost holders, attempts}

local id, worker, instead_of, token, spec, priority, deadline, tell, holder_lives = unpack(ARGV)
local status, fence, holder, starts, attempts, earlier_token, lost = unpack(redis.call('HMGET', KEYS[1],
  'status', 'fence', 'holder', 'starts', 'attempts', 'token', 'lost'))
lost = lost or '0'

if status == 'running' and earlier_token == token then
  return { 'granted', fence, holder, starts, lost, attempts or '' }
elseif status == 'running' and holder ~= instead_of then
  return { 'held', fence, holder, starts, lost, attempts or '' }
elseif FINAL[status] then
  return { 'finished', fence or '0', '', starts or '0', lost, attempts or '' }
end

if not status then
  write_record(id, spec, priority, deadline, tell)
  -- Above every fence that was given before the record was lost.
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'fence', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
end
if status == 'running' and holder_lives ~= '1' then -- its holder is gone
  lost = redis.call('HINCRBY', KEYS[1], 'lost', 1)
end
redis.call('HSET', KEYS[1], 'status', 'running', 'holder', worker, 'token', token)
note_change(KEYS[1], 'running')
redis.call('HSETNX', KEYS[1], 'started_at', now_text())
redis.call('HDEL', KEYS[1], 'message')
redis.call('ZREM', KEYS[3], id)
fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
starts = redis.call('HINCRBY', KEYS[1], 'starts', 1)
return { 'granted', fence, worker, starts, lost, attempts or '' }
