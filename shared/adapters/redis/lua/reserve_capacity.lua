-- Reserves a call on the first of a lane's deployments that has capacity now and whose breaker lets it through.
--
-- KEYS[2i-1], KEYS[2i]  the state of candidate i, and what is held of it
-- ARGV[1]     the moment (seconds since the epoch), or '' for this server's own clock
-- ARGV[2]     name of the reservation; one that is held already is granted again, and takes nothing
-- ARGV[3..6]  amounts
-- ARGV[7]     share of every limit that must be left
-- ARGV[8]     1 if only what is idle may be taken
-- ARGV[9]     in which order candidates of the same `order` are asked: least-busy, latency-based-routing, or as given
-- ARGV[10..]  of each candidate: its four rates, parallel calls or '', seconds after which its reservation is forgotten,
--             order
-- Returns     {i, '0', 1 if it is the probe of a breaker that is not closed} for a reservation on candidate i,
--             or {0, seconds to wait, 1 if all breakers are in the way}

local now = moment(ARGV[1])
local name, cost = ARGV[2], from_arguments(3)
local kept, only_idle, strategy = tonumber(ARGV[7]), ARGV[8] == '1', ARGV[9]

for i = 1, #KEYS / 2 do
  local expires = tonumber(redis.call('ZSCORE', KEYS[2 * i], name))
  if expires and expires > now then
    return { i, '0', tonumber(redis.call('HGET', KEYS[2 * i - 1], 'open_until') or 0) > 0 and 1 or 0 }
  end
end

local function candidate_at(i)
  local first = 7 * i + 3
  local candidate = {
    place = i,
    key = KEYS[2 * i - 1],
    held = KEYS[2 * i],
    rates = from_arguments(first),
    parallel = tonumber(ARGV[first + 4]),
    lifetime = tonumber(ARGV[first + 5]),
    order = tonumber(ARGV[first + 6]),
  }
  candidate.state = load(candidate.key, candidate.held, candidate.rates, now)
  candidate.under_way = redis.call('ZCARD', candidate.held)
  candidate.metric = 0
  if strategy == 'least-busy' then
    candidate.metric = candidate.under_way
  elseif strategy == 'latency-based-routing' then
    candidate.metric = candidate.state.latency
  end
  return candidate
end

local function is_asked_before(one, other)
  if one.order ~= other.order then
    return one.order < other.order
  elseif one.metric ~= other.metric then
    return one.metric < other.metric
  end
  return one.place < other.place
end

local function limits_wait(candidate)
  local state, rates = candidate.state, candidate.rates
  local wait = math.max(0, state.closed_until - now)
  if candidate.parallel then
    local left = math.max(1, math.floor(candidate.parallel * (1 - kept) + ROUNDING))
    if candidate.under_way >= math.min(candidate.parallel, left) then
      return math.max(PARALLEL_RECHECK_S, wait)
    end
  end
  if only_idle then
    wait = math.max(wait, state.contended_at + IDLE_AFTER_S - now)
  end
  local rate = effective(state, rates)
  for d = 1, KINDS do
    if rate[d] then
      local capacity = rate[d] * CAPACITY_S
      local missing = math.min(cost[d] + kept * capacity, capacity) - state[d]
      if rate[d] == 0 then
        wait = math.max(wait, LONGEST_WAIT_S)
      elseif missing > ROUNDING * math.max(1, cost[d]) then
        wait = math.max(wait, math.min(missing / rate[d], LONGEST_WAIT_S))
      end
    end
  end
  return wait
end

local function grant(candidate)
  local state = candidate.state
  move(state, candidate.rates, { -cost[1], -cost[2], -cost[3], -cost[4] })
  state.granted = state.granted + 1
  for d = 1, KINDS do
    state.flow[d] = state.flow[d] + cost[d] / FLOW_S
  end
  redis.call('ZADD', candidate.held, string.format('%.6f', now + candidate.lifetime), name)
  redis.call('EXPIRE', candidate.held, STATE_EXPIRES_S)
  save(candidate.key, state)
end

local candidates = {}
for i = 1, #KEYS / 2 do
  candidates[i] = candidate_at(i)
end
table.sort(candidates, is_asked_before)

local shortest, all_down = nil, 1
for _, candidate in ipairs(candidates) do
  local state = candidate.state
  local wait = limits_wait(candidate)
  local down = breaker_wait(state, candidate.key, candidate.held, candidate.lifetime, now)
  if wait == 0 and down == 0 then
    grant(candidate)
    return { candidate.place, '0', state.open_until > 0 and 1 or 0 }
  end
  if down == 0 then
    all_down = 0
    state.wanted = 1
    state.contended_at = only_idle and state.contended_at or now
    save(candidate.key, state)
  end
  wait = math.max(wait, down)
  shortest = math.min(shortest or wait, wait)
end
return { 0, text(shortest), all_down }
