-- Puts a new secret in the place of the one that signs; that one stays valid for a while, as do those before it.
--
-- KEYS[1]  the endpoint, or the team's own secret (hash); one that is not there is not made
-- ARGV[1]  the new secret
-- ARGV[2]  now, in seconds since the epoch
-- ARGV[3]  until when the one that signed so far is valid, in seconds since the epoch
-- ARGV[4]  how many older ones are kept at most
-- Returns  all fields and values; nothing if there is none
--
-- The field `older_secrets` has such as `whsec_…@1796090462.5`, the newest first, with spaces between.

local current = redis.call('HGET', KEYS[1], 'secret')
if current and current ~= ARGV[1] then
  local kept = { current .. '@' .. ARGV[3] }
  for entry in string.gmatch(redis.call('HGET', KEYS[1], 'older_secrets') or '', '%S+') do
    local until_when = tonumber(string.match(entry, '@(.+)$'))
    if #kept < tonumber(ARGV[4]) and until_when > tonumber(ARGV[2]) then
      kept[#kept + 1] = entry
    end
  end
  redis.call('HSET', KEYS[1], 'secret', ARGV[1], 'older_secrets', table.concat(kept, ' '))
end
return redis.call('HGETALL', KEYS[1])
