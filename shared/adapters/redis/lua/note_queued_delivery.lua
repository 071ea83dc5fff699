-- Notes that the message of a webhook delivery's attempt was confirmed.
--
-- KEYS[1]  the delivery (hash); one that is not there is not made
-- ARGV[1]  the attempt's number

local queued = redis.call('HGET', KEYS[1], 'queued')
if queued and tonumber(queued) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'queued', ARGV[1])
end
