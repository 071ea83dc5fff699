-- Put in front of every script.

-- The server's clock in milliseconds: the clocks of the machines around it may differ.
local function server_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Ends a consumer's hold on an entry and gives its fields; nothing if it is not held (any more).
local function release(stream, group, id)
  if redis.call('XACK', stream, group, id) == 0 then
    return nil
  end
  local entry = redis.call('XRANGE', stream, id, id)[1]
  redis.call('XDEL', stream, id)
  return entry and entry[2] or {}
end

-- Adds the fields of a released entry as a new one, marked with r (it was delivered before) and s
-- (milliseconds of its first arrival).
local function add_again(stream, fields, id)
  if #fields == 0 then
    return
  end
  for f = 1, #fields, 2 do
    if fields[f] == 'r' then
      redis.call('XADD', stream, '*', unpack(fields))
      return
    end
  end
  redis.call('XADD', stream, '*', 'r', '1', 's', string.match(id, '^%d+'), unpack(fields))
end
