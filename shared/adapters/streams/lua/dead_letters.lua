-- Shows the oldest dead letters.
--
-- KEYS[1]  stream of the dead letters
-- ARGV[1]  where to begin, as XRANGE takes it
-- ARGV[2]  how many at most
-- Gives    their entries; the stream is not changed

return redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
