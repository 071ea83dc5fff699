-- Notes since when a webhook endpoint fails, or that it does not.
--
-- KEYS[1]  the endpoint (hash); one that is not there is not made
-- ARGV[1]  since when, in seconds since the epoch, or '' if it does not fail
-- ARGV[2]  its last failure

if redis.call('EXISTS', KEYS[1]) == 0 then
  return
end
if ARGV[1] == '' then
  redis.call('HDEL', KEYS[1], 'failing_since', 'failing_last_at')
else
  redis.call('HSET', KEYS[1], 'failing_since', ARGV[1], 'failing_last_at', ARGV[2])
end
