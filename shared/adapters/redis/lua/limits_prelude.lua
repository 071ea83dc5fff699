-- Put in front of the scripts about limits. shared/domain/rate_limit.py is their specification and explains the words.
--
-- A deployment has two keys, and all deployments of a lane share a slot:
--   its state  (hash)        at, share, level1, level2, cut_at, cut_share, granted, refusals,
--                            closed_until, wanted
--   held       (sorted set)  reservations by the moment they are forgotten
-- Level 1 is requests, level 2 tokens. A rate is a number a second, or '' where there is no such limit.

local CAPACITY_S = 0.5
local CUT_AT_MOST_EVERY_S, MILDEST_CUT, FEWEST_COUNTED = 0.2, 0.97, 10
local REGROWTH_PER_S, SMALLEST_SHARE = 0.0025, 0.01
local UNKNOWN_START_PER_S, DOUBLING_S, FASTEST_SEARCH_PER_S = 10, 1, 10000
local SHORTEST_REST_S, PARALLEL_RECHECK_S, LONGEST_WAIT_S = 0.05, 0.05, 3600
local ROUNDING = 1e-9
local STATE_EXPIRES_S = 86400

local function moment(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function rates_from(requests, tokens)
  return { tonumber(requests), tonumber(tokens), unknown = requests == '' and tokens == '' }
end

local function effective(state, rates)
  if rates.unknown then
    return { state.share, nil }
  end
  return { rates[1] and rates[1] * state.share, rates[2] and rates[2] * state.share }
end

local function regrow(state, rates, passed)
  if not rates.unknown then
    state.share = math.min(1, state.share + REGROWTH_PER_S * passed)
  elseif state.cut_at > 0 then
    state.share = state.share + state.cut_share * REGROWTH_PER_S * passed
  elseif state.wanted == 1 and passed > 0 then
    state.share = math.min(FASTEST_SEARCH_PER_S, state.share * 2 ^ (math.min(passed, 1) / DOUBLING_S))
    state.wanted = 0
  end
end

-- Reads a deployment's state and brings it to the moment `now`.
local function load(key, held, rates, now)
  local found = redis.call('HMGET', key, 'at', 'share', 'level1', 'level2', 'cut_at', 'cut_share',
    'closed_until', 'wanted', 'granted', 'refusals')
  local state = {
    at = tonumber(found[1]) or now,
    share = tonumber(found[2]) or (rates.unknown and UNKNOWN_START_PER_S or 1),
    tonumber(found[3]) or 0,
    tonumber(found[4]) or 0,
    cut_at = tonumber(found[5]) or 0,
    cut_share = tonumber(found[6]) or 0,
    closed_until = tonumber(found[7]) or 0,
    wanted = tonumber(found[8]) or 0,
    granted = tonumber(found[9]) or 0,
    refusals = tonumber(found[10]) or 0,
  }
  local passed = math.max(0, now - state.at)
  regrow(state, rates, passed)
  local rate = effective(state, rates)
  for i = 1, 2 do
    if rate[i] then
      state[i] = math.min(rate[i] * CAPACITY_S, state[i] + rate[i] * passed)
    end
  end
  state.at = math.max(now, state.at)
  redis.call('ZREMRANGEBYSCORE', held, '-inf', string.format('%.6f', now))
  return state
end

local function text(number)
  return string.format('%.17g', number)
end

local function save(key, state)
  redis.call('HSET', key, 'at', text(state.at), 'share', text(state.share), 'level1', text(state[1]),
    'level2', text(state[2]), 'cut_at', text(state.cut_at), 'cut_share', text(state.cut_share),
    'closed_until', text(state.closed_until), 'wanted', state.wanted, 'granted', state.granted,
    'refusals', state.refusals)
  redis.call('EXPIRE', key, STATE_EXPIRES_S)
end

-- Adds to the levels, which never exceed their capacity.
local function move(state, rates, amounts)
  local rate = effective(state, rates)
  for i = 1, 2 do
    if rate[i] then
      state[i] = math.min(rate[i] * CAPACITY_S, state[i] + amounts[i])
    end
  end
end
