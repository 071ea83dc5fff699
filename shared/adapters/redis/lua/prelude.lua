-- Put in front of every other script of this folder.
--
-- A script about one job gets these keys first, all in one slot:
--   KEYS[1] the job's record          (hash)
--   KEYS[2] the team's jobs           (sorted set, all scores 0)
--   KEYS[3] the team's accepted jobs  (sorted set by time)
--   KEYS[4] the team's expiring jobs  (sorted set by time)
--   KEYS[5] the team's backlog        (hash: unfinished jobs by class and lane)
--   KEYS[6] the job's batch           (hash)                    only if it has a batch
--   KEYS[7] the batch's jobs          (sorted set, all scores 0)  only if it has a batch
--
-- All moments are seconds since the epoch by this server's own clock, as text with microseconds.

local FINAL = { succeeded = true, failed = true, cancelled = true, expired = true }

-- Expired jobs that each finishing job removes from the index: more than one, so that it catches up.
local SWEPT_AT_ONCE = 4

local function now_text()
  local time = redis.call('TIME')
  return time[1] .. '.' .. string.format('%06d', time[2])
end

local function has_batch()
  return KEYS[7] ~= nil and redis.call('EXISTS', KEYS[6]) == 1
end

-- Takes up to `most` jobs whose retention is over out of the index.
local function sweep(index, expiring, most)
  local gone = redis.call('ZRANGEBYSCORE', expiring, '-inf', now_text(), 'LIMIT', 0, most)
  if #gone > 0 then
    redis.call('ZREM', index, unpack(gone))
    redis.call('ZREM', expiring, unpack(gone))
  end
end

-- Writes what never changes of a job, and puts it into the indexes.
local function write_record(id, spec, priority)
  redis.call('HSET', KEYS[1], 'spec', spec, 'priority', priority)
  redis.call('ZADD', KEYS[2], 0, id)
  redis.call('ZREM', KEYS[4], id)
  if has_batch() then
    redis.call('ZADD', KEYS[7], 0, id)
  end
end

local function keep_batch(batch, jobs, milliseconds)
  redis.call('PEXPIRE', batch, milliseconds)
  redis.call('PEXPIRE', jobs, milliseconds)
end

-- Stamps a closed batch whose jobs are all final, and sets how long the batch is kept.
local function settle_batch(batch, jobs, retention_ms)
  local is_open, total, succeeded, failed, cancelled, expired, finished_at = unpack(redis.call('HMGET', batch,
    'is_open', 'total', 'succeeded', 'failed', 'cancelled', 'expired', 'finished_at'))
  if finished_at then
    return
  end
  local finished = succeeded + failed + cancelled + expired
  if is_open == '0' and finished >= tonumber(total) then
    redis.call('HSET', batch, 'finished_at', now_text())
    keep_batch(batch, jobs, retention_ms)
  else
    keep_batch(batch, jobs, 2 * retention_ms)
  end
end

-- Adds attempts (a line of JSON each) to those of a job.
local function add_attempts(attempts)
  local earlier = redis.call('HGET', KEYS[1], 'attempts')
  redis.call('HSET', KEYS[1], 'attempts', earlier and (earlier .. '\n' .. attempts) or attempts)
end

-- Takes a job out of its team's backlog, if its record says that it was counted there. One whose record was lost and
-- made again says nothing, so it is never taken out twice.
local function leave_backlog()
  local counted_as = redis.call('HGET', KEYS[1], 'counted_as')
  if not counted_as then
    return
  end
  redis.call('HDEL', KEYS[1], 'counted_as')
  if redis.call('HINCRBY', KEYS[5], counted_as, -1) <= 0 then
    redis.call('HDEL', KEYS[5], counted_as)
  end
end

-- Gives a job its final status, counts it in its batch, starts its retention, and announces it.
local function end_job(id, status, outcome, retention_ms, channel)
  local now = now_text()
  redis.call('HSET', KEYS[1], 'status', status, 'outcome', outcome, 'finished_at', now)
  redis.call('HDEL', KEYS[1], 'message', 'holder', 'token')
  redis.call('PEXPIRE', KEYS[1], retention_ms)
  redis.call('ZREM', KEYS[3], id)
  leave_backlog()
  sweep(KEYS[2], KEYS[4], SWEPT_AT_ONCE)
  redis.call('ZADD', KEYS[4], now + retention_ms / 1000, id)
  if has_batch() then
    redis.call('HINCRBY', KEYS[6], status, 1)
    settle_batch(KEYS[6], KEYS[7], retention_ms)
  end
  redis.call('PUBLISH', channel, status .. ' ' .. id)
end
