-- Gives what is known of a lane's deployments; changes nothing.
--
-- KEYS[2i-1], KEYS[2i]  the state of deployment i, and what is held of it
-- ARGV[1]  the moment, or '' for this server's own clock
-- Returns  the moment; then of each deployment the fields and values of its state, and what is held with its moments

local found = { text(moment(ARGV[1])) }
for i = 1, #KEYS, 2 do
  found[#found + 1] = redis.call('HGETALL', KEYS[i])
  found[#found + 1] = redis.call('ZRANGE', KEYS[i + 1], 0, -1, 'WITHSCORES')
end
return found
