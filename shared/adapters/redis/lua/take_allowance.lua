-- Takes what a job costs from all of its owners, or from none.
--
-- KEYS[1]   the job's receipt; a job that has one is charged already, and takes nothing more
-- KEYS[2]   what its idempotency key stands for; the receipt again if it has none
-- KEYS[3…]  its owners' buckets
-- ARGV[1]   the moment (seconds since the epoch), or '' for this server's own clock
-- ARGV[2]   seconds it would wait for its turn; 0: not at all
-- ARGV[3]   seconds for which the receipt is kept, after the job's turn; what takes no tokens and may go on at once (an
--           answer from the cache) will not be settled, so its receipt is kept only while the charge may be repeated
-- ARGV[4]   requests; ARGV[5] tokens
-- ARGV[6…]  of each owner: the letter of its kind, and its four limits, '' where there is none
-- Returns   {'charged', seconds to wait}, {'known'} for an idempotency key that stands for an earlier job,
--           or {'over', seconds to wait, place of the owner from 1, place of the limit from 1}

local now, patience, kept_for = moment(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local cost = { tonumber(ARGV[4]), tonumber(ARGV[5]) }

local receipt = redis.call('GET', KEYS[1])
if receipt then
  return { 'charged', string.match(receipt, '^%S+ %S+ (%S+)') }
end
if KEYS[2] ~= KEYS[1] and redis.call('EXISTS', KEYS[2]) == 1 then
  return { 'known' }
end

local owners, receipt_of = {}, { ARGV[4], ARGV[5], '' }
local longest, whose, which = 0, 0, 0
for place = 1, #KEYS - 2 do
  local first = 6 + 5 * (place - 1)
  local limits = { unpack(ARGV, first + 1, first + MEASURES) }
  local owner = load(KEYS[place + 2], limits, now, false)
  owners[place] = owner
  receipt_of[#receipt_of + 1] = ARGV[first]
  for i = 1, MEASURES do
    receipt_of[#receipt_of + 1] = limits[i] == '' and '-' or limits[i]
    local limit, amount = owner.limit[i], cost[AMOUNT_OF[i]]
    if limit and amount > 0 then
      if limit == 0 then
        return { 'over', text(WINDOW_S[i]), place, i }
      end
      local missing = math.min(amount, limit) - owner.level[i]
      local wait = missing / limit * WINDOW_S[i]
      if missing > ROUNDING * math.max(1, amount) and wait > longest then
        longest, whose, which = wait, place, i
      end
    end
  end
end
if longest > 0 and longest >= patience then
  return { 'over', text(longest), whose, which }
end

for _, owner in ipairs(owners) do
  move(owner, { -cost[1], -cost[2] })
  save(owner)
end
if longest == 0 and cost[2] == 0 then
  kept_for = REPEATED_WITHIN_S
end
if #owners > 0 then
  receipt_of[3] = text(longest)
  redis.call('SET', KEYS[1], table.concat(receipt_of, ' '), 'PX', math.ceil((kept_for + longest) * 1000))
end
return { 'charged', text(longest) }
