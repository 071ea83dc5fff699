-- Says that consumers live.
--
-- KEYS[1]  sorted set of the consumers
-- ARGV[1]  milliseconds they may be silent from now on
-- ARGV[2…] their names
-- Gives    a string with one character per name: 1 it was counted alive until now, 0 it was new or given up

local now = server_time()
local alive = {}
for i = 2, #ARGV do
  local until_then = redis.call('ZSCORE', KEYS[1], ARGV[i])
  alive[#alive + 1] = until_then and tonumber(until_then) > now and '1' or '0'
  redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
end
return table.concat(alive)
