-- Moves deferrable messages that have waited long enough to the queue where they are not deferred any more.
--
-- KEYS[1]  hash of the work streams (see declare.lua)
-- ARGV[1]  name of the consumer group
-- ARGV[2]  how many entries to move per stream at most
-- Gives    how many were moved from the stream where that were most (as many as ARGV[2]: there may be more)
--
-- Entries that a consumer holds stay. The age is the time since the first arrival (field s, else the id).
-- A script that looks at everything would be long: of the returned entries, which are not in the order of their
-- age, a few times ARGV[2] are looked at. Those are few, and the first to be delivered.

local group, limit = ARGV[1], tonumber(ARGV[2])
local now = server_time()

local function last_delivered(stream)
  for _, facts in ipairs(redis.pcall('XINFO', 'GROUPS', stream)) do
    local group_facts = {}
    for f = 1, #facts, 2 do
      group_facts[facts[f]] = facts[f + 1]
    end
    if group_facts['name'] == group then
      return group_facts['last-delivered-id']
    end
  end
end

local function first_arrival(id, fields)
  for f = 1, #fields, 2 do
    if fields[f] == 's' then
      return tonumber(fields[f + 1])
    end
  end
  return tonumber(string.match(id, '^%d+'))
end

local LOOKS_PER_MOVE = 16

local most = 0
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  local stream, facts = known[i], cjson.decode(known[i + 1])
  local last = facts.patience_ms and last_delivered(stream)
  if last then
    local oldest = now - facts.patience_ms
    -- The ids of returned entries tell when they were returned, so these are looked at whatever their id.
    local is_returned = stream == facts.back
    local upto = is_returned and '+' or string.format('%.0f', oldest)
    local looks = is_returned and limit * LOOKS_PER_MOVE or limit
    local moved = 0
    for _, entry in ipairs(redis.call('XRANGE', stream, '(' .. last, upto, 'COUNT', looks)) do
      local id, fields = entry[1], entry[2]
      if moved < limit and first_arrival(id, fields) <= oldest then
        redis.call('XADD', facts.overdue, '*', unpack(fields))
        redis.call('XDEL', stream, id)
        moved = moved + 1
      end
    end
    most = math.max(most, moved)
  end
end
return most
