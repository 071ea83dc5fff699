-- Put in front of every other script of this folder.
--
-- A script about one job gets these keys first, all in one slot:
--   KEYS[1] the job's record          (hash)
--   KEYS[2] the team's jobs           (sorted set, all scores 0)
--   KEYS[3] the team's accepted jobs  (sorted set by time)
--   KEYS[4] the team's expiring jobs  (sorted set by time)
--   KEYS[5] the team's backlog        (hash: unfinished jobs by class and lane)
--   KEYS[6] the team's deadlines      (sorted set of unfinished jobs by deadline)
--   KEYS[7] the team's outbox         (sorted set of notices by time: '<mailbox> <subject>')
--   KEYS[8] the team's events         (hash: how many webhook endpoints it has, the last sequence number)
--   KEYS[9] the job's batch           (hash)                      only if it has a batch
--   KEYS[10] the batch's jobs         (sorted set, all scores 0)  only if it has a batch
--   the last: its idempotency key     (hash: job, digest)         only if it has one; then the number of keys is odd
--
-- What never changes of a job travels as four arguments, here called its facts: the specification (JSON), the
-- priority, the deadline (or ''), and the mailboxes that its end is to be told to (words, or '').
--
-- All moments are seconds since the epoch by this server's own clock, as text with microseconds.

local FINAL = { succeeded = true, failed = true, cancelled = true, expired = true }

-- Expired jobs that each finishing job removes from the index: more than one, so that it catches up.
local SWEPT_AT_ONCE = 4

-- How long a job is kept at least whose end somebody must be told of: beyond the last webhook attempt (75.6 h, and jitter).
local TELLING_MS = 4 * 86400 * 1000

local function now_text()
  local time = redis.call('TIME')
  return time[1] .. '.' .. string.format('%06d', time[2])
end

local function has_batch()
  return KEYS[10] ~= nil and redis.call('EXISTS', KEYS[9]) == 1
end

local function idempotency_key()
  return #KEYS % 2 == 1 and KEYS[#KEYS] or nil
end

-- Takes up to `most` jobs whose retention is over out of the index. Returns how many.
local function sweep(index, expiring, most)
  local gone = redis.call('ZRANGEBYSCORE', expiring, '-inf', now_text(), 'LIMIT', 0, most)
  if #gone > 0 then
    redis.call('ZREM', index, unpack(gone))
    redis.call('ZREM', expiring, unpack(gone))
  end
  return #gone
end

-- Writes what never changes of a job, and puts it into the indexes.
local function write_record(id, spec, priority, deadline, tell)
  redis.call('HSET', KEYS[1], 'spec', spec, 'priority', priority)
  if tell ~= '' then
    redis.call('HSET', KEYS[1], 'tell', tell)
  end
  redis.call('ZADD', KEYS[2], 0, id)
  redis.call('ZREM', KEYS[4], id)
  if deadline ~= '' then
    redis.call('ZADD', KEYS[6], deadline, id)
  end
  if has_batch() then
    redis.call('ZADD', KEYS[10], 0, id)
  end
end

-- What is kept of a job that goes back and forth for days: the first lines of its history, and the last ones.
local FIRST_CHANGES, MOST_CHANGES = 10, 100
local FIRST_PAST_ATTEMPTS, MOST_PAST_ATTEMPTS = 10, 200

-- Adds a line (or some) to lines; of more than `most` the `first` first ones and the last ones are kept.
local function with_line(lines, line, first, most)
  local all = {}
  for one in string.gmatch((lines or '') .. '\n' .. line, '[^\n]+') do
    all[#all + 1] = one
  end
  while #all > most do
    table.remove(all, first + 1)
  end
  return table.concat(all, '\n')
end

-- Gives a line's moment, the last word of it, in microseconds; 0 for no line.
local function moment_of(line)
  local seconds, microseconds = string.match(line or '', '(%d+)%.(%d+)$')
  return seconds and seconds * 1000000 + microseconds or 0
end

-- Notes a change of a job's status in its history (a line each: status and moment), and announces it to who watches
-- this one job: the channel has the record's name. A change is later than what was told before, also when the clock was
-- set back: who watches asks for what is later than the last he saw.
local function note_change(job, status)
  local earlier, taken_back = unpack(redis.call('HMGET', job, 'history', 'taken_back'))
  local last = math.max(moment_of(earlier or nil), moment_of(taken_back or nil))
  local moment = math.max(moment_of(now_text()), last + 1)
  local line = string.format('%s %d.%06d', status, math.floor(moment / 1000000), moment % 1000000)
  redis.call('HSET', job, 'history', with_line(earlier, line, FIRST_CHANGES, MOST_CHANGES))
  redis.call('PUBLISH', job, line)
end

-- Takes the last change of a job's status back, so that a job which is taken and let go a thousand times has a short
-- history; who watches it hears of it.
local function take_back_change(job, status)
  local earlier = redis.call('HGET', job, 'history') or ''
  redis.call('HSET', job, 'history', string.match(earlier, '^(.*)\n[^\n]*$') or '',
    'taken_back', string.match(earlier, '[^\n]*$'))
  redis.call('PUBLISH', job, status .. ' ' .. now_text())
end

-- Puts the notices of what has ended into the outbox: one for each mailbox of `tell`, and one for the webhooks if the
-- team has endpoints of its own. Returns them. Whoever publishes them takes them out.
local function put_into_outbox(outbox, events, subject, tell)
  local mailboxes = {}
  for mailbox in string.gmatch(tell, '%S+') do
    mailboxes[mailbox] = true
  end
  if tonumber(redis.call('HGET', events, 'endpoints') or '0') > 0 then
    mailboxes['forebay.webhooks'] = true
  end
  local notices = {}
  for _, mailbox in ipairs({ 'forebay.webhooks', 'forebay.replies' }) do
    if mailboxes[mailbox] then
      local notice = mailbox .. ' ' .. subject
      redis.call('ZADD', outbox, now_text(), notice)
      notices[#notices + 1] = notice
    end
  end
  return notices
end

local function keep_batch(batch, jobs, milliseconds)
  redis.call('PEXPIRE', batch, milliseconds)
  redis.call('PEXPIRE', jobs, milliseconds)
end

-- As keep_batch, for one that is not finished: it is never kept shorter than was said before.
local function keep_batch_longer(batch, jobs, milliseconds)
  for _, key in ipairs({ batch, jobs }) do
    if redis.call('PTTL', key) < milliseconds then
      redis.call('PEXPIRE', key, milliseconds)
    end
  end
end

-- Gives for how many milliseconds a job must be known that ends before its message comes, so that it never runs.
local function until_no_message_comes(comes_at, waits_s)
  return (math.max(0, comes_at - now_text()) + waits_s) * 1000
end

-- Takes the end of a batch back, if it has ended: it has a job again that is not final. Its next end is another event.
local function begin_batch_anew(batch)
  if redis.call('HDEL', batch, 'finished_at') == 1 then
    redis.call('HDEL', batch, 'sequence')
    redis.call('HINCRBY', batch, 'reopened', 1)
  end
end

-- Stamps a closed batch whose jobs are all final, and sets how long the batch is kept. Returns its notices.
local function settle_batch(batch, jobs, outbox, events, retention_ms)
  local id, is_open, total, succeeded, failed, cancelled, expired, finished_at, tell = unpack(redis.call('HMGET', batch,
    'id', 'is_open', 'total', 'succeeded', 'failed', 'cancelled', 'expired', 'finished_at', 'tell'))
  if finished_at then
    return {}
  end
  local finished = succeeded + failed + cancelled + expired
  if is_open == '0' and finished >= tonumber(total) then
    redis.call('HSET', batch, 'finished_at', now_text(), 'sequence', redis.call('HINCRBY', events, 'sequence', 1))
    local notices = put_into_outbox(outbox, events, id, tell or '')
    keep_batch(batch, jobs, #notices > 0 and math.max(retention_ms, TELLING_MS) or retention_ms)
    return notices
  end
  keep_batch_longer(batch, jobs, 2 * retention_ms)
  return {}
end

-- Notes that all jobs of a batch have come in, with the keys of close_batch.lua. Returns the batch's notices.
local function close_batch(id, retention_ms)
  redis.call('ZREM', KEYS[5], id)
  if redis.call('EXISTS', KEYS[1]) == 0 then
    return {}
  end
  redis.call('HSET', KEYS[1], 'is_open', 0)
  redis.call('HDEL', KEYS[1], 'resumed')
  return settle_batch(KEYS[1], KEYS[2], KEYS[3], KEYS[4], retention_ms)
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

-- Gives a job its final status, counts it in its batch, starts its retention, and announces it. Returns the notices
-- that are to be published: what somebody must be told of is kept until the last attempt to tell may be over. The
-- record, and what its idempotency key stands for, are kept for `known_ms` at least, if that is given. Of a job that
-- is withdrawn nobody is told, and no batch counts it.
local function end_job(id, status, outcome, retention_ms, channel, known_ms, is_withdrawn)
  local now = now_text()
  redis.call('HSET', KEYS[1], 'status', status, 'outcome', outcome, 'finished_at', now,
    'sequence', redis.call('HINCRBY', KEYS[8], 'sequence', 1))
  redis.call('HDEL', KEYS[1], 'message', 'holder', 'token')
  note_change(KEYS[1], status)
  local notices = {}
  if not is_withdrawn then
    notices = put_into_outbox(KEYS[7], KEYS[8], id, redis.call('HGET', KEYS[1], 'tell') or '')
  end
  if #notices > 0 then
    retention_ms = math.max(retention_ms, TELLING_MS)
  end
  known_ms = string.format('%.0f', math.max(retention_ms, known_ms or 0))
  redis.call('PEXPIRE', KEYS[1], known_ms)
  local key = idempotency_key()
  if key and redis.call('HGET', key, 'job') == id then
    redis.call('PEXPIRE', key, known_ms)
  end
  redis.call('ZREM', KEYS[3], id)
  redis.call('ZREM', KEYS[6], id)
  leave_backlog()
  sweep(KEYS[2], KEYS[4], SWEPT_AT_ONCE)
  redis.call('ZADD', KEYS[4], now + retention_ms / 1000, id)
  if has_batch() then
    if not is_withdrawn then
      redis.call('HINCRBY', KEYS[9], status, 1)
    end
    for _, notice in ipairs(settle_batch(KEYS[9], KEYS[10], KEYS[7], KEYS[8], retention_ms)) do
      notices[#notices + 1] = notice
    end
  end
  redis.call('PUBLISH', channel, status .. ' ' .. id)
  return notices
end
