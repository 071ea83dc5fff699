-- Notes that the provider refused a call (429): the deployment is closed for a while, and its rate cut.
--
-- KEYS[1], KEYS[2]  the deployment's state, and what is held of it
-- ARGV[1]     the moment, or '' for this server's own clock
-- ARGV[2]     name of the reservation
-- ARGV[3]     seconds that the provider asks to wait
-- ARGV[4..5]  the deployment's requests and tokens a second, or ''
-- ARGV[6]     seconds after which its reservations are forgotten
-- ARGV[7..8]  failures in a row that its breaker bears; seconds until the first probe
-- Returns     1

local now = moment(ARGV[1])
local state = load(KEYS[1], KEYS[2], rates_from(ARGV[4], ARGV[5]), now)
local expires = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2]))
if expires then -- who counts calls is alive
  redis.call('ZREM', KEYS[2], ARGV[2])
  end_call(state, 'good', expires - tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), now)
end
state.closed_until = math.max(state.closed_until, now + math.max(tonumber(ARGV[3]), SHORTEST_REST_S))
state.refusals = state.refusals + 1
if now - state.cut_at >= CUT_AT_MOST_EVERY_S then
  local counted = math.max(state.granted, FEWEST_COUNTED, state.refusals)
  state.share = math.max(SMALLEST_SHARE, state.share * math.min(MILDEST_CUT, 1 - state.refusals / counted))
  state.cut_at, state.cut_share = now, state.share
  state.granted, state.refusals = 0, 0
  state[1], state[2] = math.min(0, state[1]), math.min(0, state[2])
end
save(KEYS[1], state)
return 1
