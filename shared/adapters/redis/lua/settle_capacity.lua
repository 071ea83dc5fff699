-- Settles a reservation on what the call really took, and on what the provider said of its own count.
--
-- KEYS[1], KEYS[2]  the deployment's state, and what is held of it
-- ARGV[1]      the moment, or '' for this server's own clock
-- ARGV[2]      name of the reservation; one that is not held is settled already
-- ARGV[3..4]   requests and tokens that were reserved and not taken (negative: taken beyond)
-- ARGV[5..6]   the deployment's requests and tokens a second, or ''
-- ARGV[7..8]   the provider's own requests and tokens a second, or ''
-- ARGV[9..10]  requests and tokens it has left, or ''
-- Returns      1, or 0 if there was nothing to settle

local now = moment(ARGV[1])
local rates = rates_from(ARGV[5], ARGV[6])
local state = load(KEYS[1], KEYS[2], rates, now)
if redis.call('ZREM', KEYS[2], ARGV[2]) == 0 then
  return 0
end
for d = 1, 2 do
  local enforced, left = tonumber(ARGV[6 + d]), tonumber(ARGV[8 + d])
  if enforced and rates[d] and rates[d] > 0 then
    state.share = math.max(SMALLEST_SHARE, math.min(state.share, enforced / rates[d]))
  end
  if left then
    state[d] = math.min(state[d], left)
  end
end
move(state, rates, { tonumber(ARGV[3]), tonumber(ARGV[4]) })
save(KEYS[1], state)
return 1
