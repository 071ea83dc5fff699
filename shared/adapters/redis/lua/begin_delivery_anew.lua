-- Lets a webhook delivery have a new first attempt, unless one is under way or on its way soon.
--
-- KEYS[1]  the delivery (hash)
-- KEYS[2]  the team's expiring deliveries (sorted set by time)
-- KEYS[3]  the deliveries of the same subject
-- KEYS[4]  the team's unpublished deliveries (sorted set by the moment their next attempt is due)
-- ARGV[1]  id
-- ARGV[2]  now, in seconds since the epoch
-- ARGV[3]  how long it is kept after its last change, in milliseconds
-- ARGV[4]  how soon, in seconds
-- ARGV[5]  how long one that is due is waited for, in seconds
-- Returns  {1, or 0 if it is left as it is; all fields and values, none if there is no such delivery}
--
-- An attempt whose message was not confirmed may never come. The same call again finds that it has begun it.

local id, now, kept_ms, soon_s, waited_s = unpack(ARGV)
local status, made, queued, next_at, held_until, began_at = unpack(redis.call('HMGET', KEYS[1],
  'status', 'made', 'queued', 'next_attempt_at', 'held_until', 'began_at'))
if not status then
  return { 0, {} }
end

local is_ours = status == 'pending' and began_at == now
local is_held = held_until and tonumber(held_until) > tonumber(now_text())
local due_in_s = (next_at or now) - now
local is_coming = tonumber(queued) > tonumber(made) and due_in_s <= tonumber(soon_s) and -due_in_s <= tonumber(waited_s)
if status == 'pending' and not is_ours and (is_held or is_coming) then
  return { 0, redis.call('HGETALL', KEYS[1]) }
end
if not is_ours then
  redis.call('HSET', KEYS[1], 'status', 'pending', 'made_before', made, 'queued', made, 'began_at', now,
    'next_attempt_at', now) -- a message of this attempt may be published, but for a later moment: it counts as none
  redis.call('ZADD', KEYS[4], now, id)
end
redis.call('PEXPIRE', KEYS[1], kept_ms)
redis.call('PEXPIRE', KEYS[3], kept_ms)
redis.call('ZADD', KEYS[2], now_text() + kept_ms / 1000, id)
return { 1, redis.call('HGETALL', KEYS[1]) }
