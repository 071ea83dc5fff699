-- Gives the lease of the leading scheduler back.
--
-- KEYS[1]  the leader (hash)
-- ARGV[1]  whose lease it is

if redis.call('HGET', KEYS[1], 'name') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'until', now_text())
end
return 0
