-- Keeps a new API key.
--
-- KEYS[1]   the records (hash by the key's SHA-256)
-- KEYS[2]   the SHA-256 of each key (hash by id)
-- KEYS[3…]  the indexes of ids (sorted sets, all scores 0)
-- ARGV[1]   id; one that is there already stays as it is
-- ARGV[2]   SHA-256 of the key (hex); ARGV[3] record (JSON)
-- Returns   1, or 0 if it was there already

if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
for i = 3, #KEYS do
  redis.call('ZADD', KEYS[i], 0, ARGV[1])
end
return 1
