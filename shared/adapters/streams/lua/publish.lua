-- Puts a batch of messages into their streams, or among the delayed; the same batch sent again does nothing.
--
-- KEYS[1]  receipt of the publisher: number and answer of its last batch
-- KEYS[2]  sorted set of the delayed messages
-- ARGV[1]  number of this batch; a publisher's numbers rise
-- ARGV[2]  milliseconds for which the receipt is kept
-- ARGV[3…] per message: stream, delay (ms, 0: none), body, job id, headers (JSON); and, empty but for dead letters, the
--          reason, and lane and class of the queue they came from
-- Gives    a string with one character per message: 1 taken, 0 the stream does not exist

local receipt = redis.call('GET', KEYS[1])
if receipt then
  local number, answer = string.match(receipt, '^(%d+):(.*)$')
  if tonumber(number) >= tonumber(ARGV[1]) then
    return answer
  end
end

local now = server_time()
local taken = {}
for i = 3, #ARGV, 8 do
  local stream, delay, body, job, headers, reason, lane, class = unpack(ARGV, i, i + 7)
  delay = tonumber(delay)
  local done
  if delay > 0 then
    done = redis.call('EXISTS', stream) == 1
    if done then
      -- The first two parts make the member unique; one more millisecond pays for the rounding of the time.
      local member = cmsgpack.pack({ KEYS[1], ARGV[1] .. '.' .. i, stream, body, job, headers })
      redis.call('ZADD', KEYS[2], now + delay + 1, member)
    end
  elseif reason ~= '' then
    local entry = { 'b', body, 'j', job, 'h', headers, 'reason', reason }
    if lane ~= '' then
      entry[9], entry[10], entry[11], entry[12] = 'lane', lane, 'class', class
    end
    done = redis.call('XADD', stream, 'NOMKSTREAM', '*', unpack(entry))
  else
    done = redis.call('XADD', stream, 'NOMKSTREAM', '*', 'b', body, 'j', job, 'h', headers)
  end
  taken[#taken + 1] = done and '1' or '0'
end

local answer = table.concat(taken)
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. answer, 'PX', ARGV[2])
return answer
