-- Put in front of the scripts about limits. shared/domain/limit_state.py and circuit.py are their specification and
-- explain the words.
--
-- A deployment has two keys, and all deployments of a lane share a slot:
--   its state  (hash)        at, share, level1…4, cut_at, cut_share, granted, refusals,
--                            closed_until, wanted, contended_at, flow1…4, latency,
--                            failures, opened_at, open_until, openings, window (the breaker's);
--                            begun:<name> (when a reservation was granted that was renewed since)
--   held       (sorted set)  reservations by the moment they are forgotten
-- 1 is requests, 2 tokens of both kinds, 3 input tokens, 4 output tokens: amounts and rates always come in this order.
-- A rate is a number a second, or '' where there is no such limit. KEYS and ARGV are those of the script behind.

local KINDS = 4
local CAPACITY_S = 0.5
local CUT_AT_MOST_EVERY_S, MILDEST_CUT, FEWEST_COUNTED = 0.2, 0.97, 10
local REGROWTH_PER_S, SMALLEST_SHARE = 0.0025, 0.01
local UNKNOWN_START_PER_S, DOUBLING_S, FASTEST_SEARCH_PER_S = 10, 1, 10000
local SHORTEST_REST_S, PARALLEL_RECHECK_S, LONGEST_WAIT_S = 0.05, 0.05, 3600
local IDLE_AFTER_S, FLOW_S, LATENCY_NEWS = 1, 10, 0.1
local LONGEST_COOLDOWN_S, FIRST_WINDOW, RAMPED_AT = 60, 2, 64
local PROBE_LOST_AFTER_S, PROBE_RECHECK_S, SAME_MOMENT_S = 60, 0.25, 0.001
local ROUNDING = 1e-9
local STATE_EXPIRES_S = 86400
local BEGUN = 'begun:'

local function moment(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

-- Reads the rates, or the amounts, that stand in ARGV from `first` on.
local function from_arguments(first)
  local found = { unknown = true }
  for i = 1, KINDS do
    found[i] = tonumber(ARGV[first + i - 1])
    found.unknown = found.unknown and not found[i]
  end
  return found
end

local function effective(state, rates)
  local rate = {}
  if rates.unknown then
    rate[1] = state.share
  end
  for i = 1, KINDS do
    rate[i] = rate[i] or (rates[i] and rates[i] * state.share)
  end
  return rate
end

local function regrow(state, rates, passed)
  if not rates.unknown then
    state.share = math.min(1, state.share + REGROWTH_PER_S * passed)
  elseif state.wanted == 1 and passed > 0 then
    local grown = state.cut_at > 0 and state.share + state.cut_share * REGROWTH_PER_S * math.min(passed, 1)
      or state.share * 2 ^ (math.min(passed, 1) / DOUBLING_S)
    state.share, state.wanted = math.min(FASTEST_SEARCH_PER_S, grown), 0
  end
end

local function forget_the_dead(key, held, now)
  local past = string.format('%.6f', now)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', past)) do
    redis.call('HDEL', key, BEGUN .. name)
  end
  redis.call('ZREMRANGEBYSCORE', held, '-inf', past)
end

-- Reads a deployment's state and brings it to the moment `now`.
local function load(key, held, rates, now)
  local found = redis.call('HMGET', key, 'at', 'share', 'level1', 'level2', 'cut_at', 'cut_share',
    'closed_until', 'wanted', 'granted', 'refusals', 'contended_at', 'flow1', 'flow2', 'latency',
    'failures', 'opened_at', 'open_until', 'openings', 'window', 'level3', 'level4', 'flow3', 'flow4')
  local state = {
    at = tonumber(found[1]) or now,
    share = tonumber(found[2]) or (rates.unknown and UNKNOWN_START_PER_S or 1),
    tonumber(found[3]) or 0,
    tonumber(found[4]) or 0,
    tonumber(found[20]) or 0,
    tonumber(found[21]) or 0,
    cut_at = tonumber(found[5]) or 0,
    cut_share = tonumber(found[6]) or 0,
    closed_until = tonumber(found[7]) or 0,
    wanted = tonumber(found[8]) or 0,
    granted = tonumber(found[9]) or 0,
    refusals = tonumber(found[10]) or 0,
    contended_at = tonumber(found[11]) or 0,
    flow = {
      tonumber(found[12]) or 0,
      tonumber(found[13]) or 0,
      tonumber(found[22]) or 0,
      tonumber(found[23]) or 0,
    },
    latency = tonumber(found[14]) or 0,
    failures = tonumber(found[15]) or 0,
    opened_at = tonumber(found[16]) or 0,
    open_until = tonumber(found[17]) or 0,
    openings = tonumber(found[18]) or 0,
    window = tonumber(found[19]) or 0,
  }
  local passed = math.max(0, now - state.at)
  regrow(state, rates, passed)
  local rate = effective(state, rates)
  local fading = math.exp(-passed / FLOW_S)
  for i = 1, KINDS do
    state.flow[i] = state.flow[i] * fading
    if rate[i] then
      state[i] = math.min(rate[i] * CAPACITY_S, state[i] + rate[i] * passed)
    end
  end
  state.at = math.max(now, state.at)
  forget_the_dead(key, held, now)
  return state
end

local function text(number)
  return string.format('%.17g', number)
end

local function save(key, state)
  redis.call('HSET', key, 'at', text(state.at), 'share', text(state.share), 'level1', text(state[1]),
    'level2', text(state[2]), 'cut_at', text(state.cut_at), 'cut_share', text(state.cut_share),
    'closed_until', text(state.closed_until), 'wanted', state.wanted, 'granted', state.granted,
    'refusals', state.refusals, 'contended_at', text(state.contended_at), 'flow1', text(state.flow[1]),
    'flow2', text(state.flow[2]), 'latency', text(state.latency), 'failures', state.failures,
    'opened_at', text(state.opened_at), 'open_until', text(state.open_until), 'openings', state.openings,
    'window', state.window, 'level3', text(state[3]), 'level4', text(state[4]), 'flow3', text(state.flow[3]),
    'flow4', text(state.flow[4]))
  redis.call('EXPIRE', key, STATE_EXPIRES_S)
end

-- Adds to the levels, which never exceed their capacity.
local function move(state, rates, amounts)
  local rate = effective(state, rates)
  for i = 1, KINDS do
    if rate[i] then
      state[i] = math.min(rate[i] * CAPACITY_S, state[i] + amounts[i])
    end
  end
end

local function breaker_state(state, now)
  if state.open_until > 0 then
    return now < state.open_until and 'open' or 'half_open'
  end
  return state.window > 0 and 'ramping' or 'closed'
end

-- Gives when a reservation was granted that will be forgotten at `expires`.
local function granted_moment(key, name, lifetime, expires)
  return tonumber(redis.call('HGET', key, BEGUN .. name)) or expires - lifetime
end

-- Ends a reservation and gives when it was granted, or nil if it is not held.
local function let_go(key, held, name, lifetime)
  local expires = tonumber(redis.call('ZSCORE', held, name))
  if not expires then
    return nil
  end
  local granted_at = granted_moment(key, name, lifetime, expires)
  redis.call('ZREM', held, name)
  redis.call('HDEL', key, BEGUN .. name)
  return granted_at
end

-- Seconds for which the breaker lets nothing through.
local function breaker_wait(state, key, held, lifetime, now)
  if now < state.open_until then
    return state.open_until - now
  end
  local bound = state.open_until > 0 and 1 or state.window
  if bound == 0 then
    return 0
  end
  local since = state.opened_at + SAME_MOMENT_S
  if state.open_until > 0 then
    since = math.max(since, now - PROBE_LOST_AFTER_S)
  end
  local under_way = 0
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', held, '(' .. text(since + lifetime), '+inf')) do
    local begun = tonumber(redis.call('HGET', key, BEGUN .. name))
    under_way = under_way + ((not begun or begun > since) and 1 or 0)
  end
  return under_way >= bound and PROBE_RECHECK_S or 0
end

-- Moves the breaker on after the end of a call: health is good, bad or unknown.
local function end_call(state, health, granted_at, allowed_fails, cooldown, now)
  if health == 'unknown' or granted_at <= state.opened_at + SAME_MOMENT_S then
    return
  end
  if health == 'good' then
    if state.open_until > 0 then
      state.failures, state.open_until, state.window = 0, 0, FIRST_WINDOW
    elseif state.window > 0 and state.window + 1 < RAMPED_AT then
      state.failures, state.window = 0, state.window + 1
    else
      state.failures, state.window, state.openings = 0, 0, 0
    end
    return
  end
  state.failures = state.failures + 1
  if state.open_until > 0 or state.failures > allowed_fails then
    state.open_until = now + math.min(LONGEST_COOLDOWN_S, cooldown * 2 ^ math.min(state.openings, 10))
    state.failures, state.opened_at, state.window = 0, now, 0
    state.openings = state.openings + 1
  end
end
