-- Notes how a firing of a duty ended.
--
-- KEYS[1]  the duty's runs (hash)
-- ARGV[1]  the time of the firing, in milliseconds since the epoch
-- ARGV[2]  the term in which it was begun
-- ARGV[3]  what JSON says of its end

local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then
  local run = cjson.decode(found)
  if run.term == ARGV[2] then
    run.ended_at, run.result = now_text(), ARGV[3]
    redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(run))
  end
end
return 0
