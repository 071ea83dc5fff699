-- Shows the oldest dead letters.
--
-- KEYS[1]  stream of the dead letters
-- ARGV[1]  how many at most
-- Gives    their entries; the stream is not changed

return redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1])
