-- Notes that the messages of jobs were published. Jobs that have moved on stay as they are.
--
-- KEYS[1]      the team's accepted jobs
-- KEYS[i + 1]  the record of job i
-- ARGV[2i - 1] the id of job i
-- ARGV[2i]     its new status

for i = 1, #KEYS - 1 do
  local job, id, status = KEYS[i + 1], ARGV[2 * i - 1], ARGV[2 * i]
  if redis.call('HGET', job, 'status') == 'accepted' then
    redis.call('HSET', job, 'status', status)
    redis.call('HDEL', job, 'message')
    note_change(job, status)
  end
  redis.call('ZREM', KEYS[1], id)
end
return 0
