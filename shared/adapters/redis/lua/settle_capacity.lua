-- Settles a reservation on what the call really took, on how it ended, and on what the provider said of its own count.
--
-- KEYS[1], KEYS[2]  the deployment's state, and what is held of it
-- ARGV[1]       the moment, or '' for this server's own clock
-- ARGV[2]       name of the reservation; one that is not held is settled already
-- ARGV[3..6]    amounts that were reserved and not taken (negative: taken beyond)
-- ARGV[7..10]   the deployment's rates
-- ARGV[11]      seconds after which its reservations are forgotten
-- ARGV[12..13]  failures in a row that its breaker bears; seconds until the first probe
-- ARGV[14]      what the end says of the deployment: good, bad or unknown
-- ARGV[15]      1 if there was an answer, so that its latency counts
-- ARGV[16..19]  the provider's own rates
-- ARGV[20..23]  amounts it has left, or ''
-- ARGV[24]      seconds for which the call waited for who reads its answer
-- Returns       the breaker's new state, or '' if it is as before or there was nothing to settle

local now = moment(ARGV[1])
local rates = from_arguments(7)
local state = load(KEYS[1], KEYS[2], rates, now)
local granted_at, unused = let_go(KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[11])), from_arguments(3)
if not granted_at then
  return ''
end
for d = 1, KINDS do
  local enforced, left = tonumber(ARGV[15 + d]), tonumber(ARGV[19 + d])
  if enforced and rates[d] and rates[d] > 0 then
    state.share = math.max(SMALLEST_SHARE, math.min(state.share, enforced / rates[d]))
  end
  if left then
    state[d] = math.min(state[d], left)
  end
  state.flow[d] = state.flow[d] - unused[d] / FLOW_S
end
move(state, rates, unused)
if ARGV[15] == '1' then
  local latency = math.max(0, now - granted_at - tonumber(ARGV[24]))
  state.latency = state.latency == 0 and latency or state.latency + LATENCY_NEWS * (latency - state.latency)
end
local before = breaker_state(state, now)
end_call(state, ARGV[14], granted_at, tonumber(ARGV[12]), tonumber(ARGV[13]), now)
save(KEYS[1], state)
local after = breaker_state(state, now)
return after ~= before and after or ''
