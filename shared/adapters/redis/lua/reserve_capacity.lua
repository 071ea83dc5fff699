-- Reserves a call on the first of a lane's deployments that has capacity now.
--
-- KEYS[2i-1], KEYS[2i]  the state of candidate i, and what is held of it
-- ARGV[1]     the moment (seconds since the epoch), or '' for this server's own clock
-- ARGV[2]     name of the reservation; one that is held already is granted again, and takes nothing
-- ARGV[3..4]  requests, tokens
-- ARGV[5]     share of every bucket that must be left
-- ARGV[6]     seconds after which the reservation is forgotten
-- ARGV[7..]   of each candidate: requests a second or '', tokens a second or '', parallel calls or ''
-- Returns     {i, '0'} for a reservation on candidate i, or {0, seconds to wait}

local now = moment(ARGV[1])
local name, cost = ARGV[2], { tonumber(ARGV[3]), tonumber(ARGV[4]) }
local kept, expires_in = tonumber(ARGV[5]), tonumber(ARGV[6])
local candidates = #KEYS / 2

for i = 1, candidates do
  local expires = tonumber(redis.call('ZSCORE', KEYS[2 * i], name))
  if expires and expires > now then
    return { i, '0' }
  end
end

local function wait_for(state, rates, parallel, held)
  local wait = math.max(0, state.closed_until - now)
  if parallel and redis.call('ZCARD', held) >= parallel then
    return math.max(PARALLEL_RECHECK_S, wait)
  end
  local rate = effective(state, rates)
  for d = 1, 2 do
    if rate[d] then
      local capacity = rate[d] * CAPACITY_S
      local missing = math.min(cost[d] + kept * capacity, capacity) - state[d]
      if rate[d] == 0 then
        wait = LONGEST_WAIT_S
      elseif missing > ROUNDING * math.max(1, cost[d]) then
        wait = math.max(wait, math.min(missing / rate[d], LONGEST_WAIT_S))
      end
    end
  end
  return wait
end

local shortest
for i = 1, candidates do
  local key, held = KEYS[2 * i - 1], KEYS[2 * i]
  local rates = rates_from(ARGV[3 * i + 4], ARGV[3 * i + 5])
  local state = load(key, held, rates, now)
  local wait = wait_for(state, rates, tonumber(ARGV[3 * i + 6]), held)
  if wait == 0 then
    move(state, rates, { -cost[1], -cost[2] })
    state.granted = state.granted + 1
    redis.call('ZADD', held, string.format('%.6f', now + expires_in), name)
    redis.call('EXPIRE', held, STATE_EXPIRES_S)
    save(key, state)
    return { i, '0' }
  end
  state.wanted = 1
  save(key, state)
  shortest = math.min(shortest or wait, wait)
end
return { 0, text(shortest) }
