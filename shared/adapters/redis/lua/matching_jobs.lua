-- Tells which of some jobs match a filter.
--
-- KEYS     records of jobs
-- ARGV[1]  priority, or '' for all
-- ARGV[2…] statuses; none for all
-- Returns  the positions in KEYS (from 1) of those that exist and match

local wanted = {}
for i = 2, #ARGV do
  wanted[ARGV[i]] = true
end
local positions = {}
for i = 1, #KEYS do
  local status, priority = unpack(redis.call('HMGET', KEYS[i], 'status', 'priority'))
  if status and (#ARGV < 2 or wanted[status]) and (ARGV[1] == '' or ARGV[1] == priority) then
    positions[#positions + 1] = i
  end
end
return positions
