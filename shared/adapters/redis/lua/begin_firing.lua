-- Begins a firing of a duty, if the term is the current one and that firing was not begun before.
--
-- KEYS[1]  the leader (hash)
-- KEYS[2]  the timetable (hash: JSON by duty)
-- KEYS[3]  the times of the duty's firings that were begun (sorted set: milliseconds since the epoch)
-- KEYS[4]  the duty's runs (hash)
-- ARGV[1]  who leads; ARGV[2] its term
-- ARGV[3]  the duty; ARGV[4] what JSON says of it from now on, or '' to leave that
-- ARGV[5]  the time of the firing, in milliseconds since the epoch
-- ARGV[6]  a token of this beginning: the same one again is the same beginning, repeated after a lost reply
-- ARGV[7]  runs that are kept; ARGV[8] how many of them are the last ones, whatever they did; the others did something,
--          failed, or never ended
-- ARGV[9]  milliseconds for which the times are kept; an older firing is none
-- ARGV[10] milliseconds by which a firing may be before its time
-- Returns  'begun', 'stale', 'early' or 'repeated'

local name, term, duty, plan, fires_at, token, kept, last, horizon_ms, early_ms = unpack(ARGV)
if not leads(KEYS[1], name, term) then
  return 'stale'
end
local now_ms = tonumber(now_text()) * 1000
if tonumber(fires_at) > now_ms + early_ms then
  return 'early' -- written down, it would be in the way of whoever leads when its time comes
end
local oldest = now_ms - horizon_ms
if tonumber(fires_at) < oldest then
  return 'repeated'
end
if redis.call('ZADD', KEYS[3], 'NX', fires_at, fires_at) == 0 then
  local known = redis.call('HGET', KEYS[4], fires_at)
  return known and cjson.decode(known).token == token and 'begun' or 'repeated'
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('(%.0f', oldest))
if plan ~= '' then
  redis.call('HSET', KEYS[2], duty, plan)
end
redis.call('HSET', KEYS[4], fires_at, cjson.encode({ by = name, term = term, token = token, began_at = now_text() }))

local function is_eventful(time)
  local run = cjson.decode(redis.call('HGET', KEYS[4], time))
  local result = run.result and cjson.decode(run.result)
  return not result or result.did > 0 or result.error ~= cjson.null
end

local times, left = redis.call('HKEYS', KEYS[4]), tonumber(kept)
table.sort(times, function(one, other)
  return tonumber(one) > tonumber(other)
end)
for i, time in ipairs(times) do
  if left > 0 and (i <= tonumber(last) or is_eventful(time)) then
    left = left - 1
  else
    redis.call('HDEL', KEYS[4], time)
  end
end
return 'begun'
