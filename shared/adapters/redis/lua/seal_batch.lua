-- Closes a batch whose upload nobody goes on with.
--
-- KEYS, ARGV[1], ARGV[2] as in close_batch.lua
-- ARGV[3]  how long ago it must have been opened last, in seconds
-- Returns  its notices, to be published; nothing if it is not so long ago, or it is not open

local opened_at = redis.call('ZSCORE', KEYS[5], ARGV[1])
if not opened_at or tonumber(opened_at) > tonumber(now_text()) - ARGV[3] then
  return false
end
local was_open = redis.call('HGET', KEYS[1], 'is_open') == '1'
local notices = close_batch(ARGV[1], tonumber(ARGV[2]))
return was_open and notices
