-- Gives a page of API keys, newest first.
--
-- KEYS[1]  the records (hash by the key's SHA-256)
-- KEYS[2]  the SHA-256 of each key (hash by id)
-- KEYS[3]  the index of ids (sorted set, all scores 0)
-- ARGV[1]  '+', or '(' and the id to go on after
-- ARGV[2]  how many
-- Returns  the records (JSON)

local ids = redis.call('ZREVRANGEBYLEX', KEYS[3], ARGV[1], '-', 'LIMIT', 0, ARGV[2])
if #ids == 0 then
  return {}
end
return redis.call('HMGET', KEYS[1], unpack(redis.call('HMGET', KEYS[2], unpack(ids))))
