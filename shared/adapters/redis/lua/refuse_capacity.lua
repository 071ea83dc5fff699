-- Notes that the provider refused a call (429): the deployment is closed for a while, and its rate cut.
--
-- KEYS[1], KEYS[2]  the deployment's state, and what is held of it
-- ARGV[1]     the moment, or '' for this server's own clock
-- ARGV[2]     name of the reservation; one that is not held was settled or refused already
-- ARGV[3]     seconds that the provider asks to wait
-- ARGV[4..7]  the deployment's rates
-- ARGV[8]     seconds after which its reservations are forgotten
-- ARGV[9..10] failures in a row that its breaker bears; seconds until the first probe
-- Returns     1, or 0 if there was nothing to refuse

local now = moment(ARGV[1])
local state = load(KEYS[1], KEYS[2], from_arguments(4), now)
local granted_at = let_go(KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[8]))
if not granted_at then
  return 0
end
-- Who counts calls is alive.
end_call(state, 'good', granted_at, tonumber(ARGV[9]), tonumber(ARGV[10]), now)
state.closed_until = math.max(state.closed_until, now + math.max(tonumber(ARGV[3]), SHORTEST_REST_S))
state.refusals = state.refusals + 1
if now - state.cut_at >= CUT_AT_MOST_EVERY_S then
  local counted = math.max(state.granted, FEWEST_COUNTED, state.refusals)
  state.share = math.max(SMALLEST_SHARE, state.share * math.min(MILDEST_CUT, 1 - state.refusals / counted))
  state.cut_at, state.cut_share = now, state.share
  state.granted, state.refusals = 0, 0
  for i = 1, KINDS do
    state[i] = math.min(0, state[i])
  end
end
save(KEYS[1], state)
return 1
