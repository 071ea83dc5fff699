-- Gives what is known of the leading scheduler and its timetable.
--
-- KEYS[1]  the leader (hash)
-- KEYS[2]  the timetable (hash)
-- Returns  the moment, and all fields and values of both

return { now_text(), redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) }
