-- Gives the messages of accepted jobs, and forgets those that are accepted no more.
--
-- KEYS[1]      the team's accepted jobs
-- KEYS[i + 1]  the record of job i
-- ARGV[i]      the id of job i
-- Returns      the message of each job, or false

local messages = {}
for i = 1, #ARGV do
  local status, message = unpack(redis.call('HMGET', KEYS[i + 1], 'status', 'message'))
  messages[i] = status == 'accepted' and message
  if status ~= 'accepted' then
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return messages
