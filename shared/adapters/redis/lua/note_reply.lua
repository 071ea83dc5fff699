-- Notes on a job what became of the reply about it; a record that is gone stays gone.
--
-- KEYS[1]  the job's record
-- ARGV[1]  the report (JSON)
-- Returns  1, or 0 if there is no record

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'reply', ARGV[1])
return 1
