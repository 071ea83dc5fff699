-- Takes what each of some jobs costs from all of their owners, or from none; the jobs have the same owners.
--
-- KEYS[1…m]      the owners' buckets
-- KEYS[m+2j-1]   the receipt of job j; a job that has one is charged already, and takes nothing more
-- KEYS[m+2j]     what its idempotency key stands for; the receipt again if it has none
-- ARGV[1]        the moment (seconds since the epoch), or '' for this server's own clock
-- ARGV[2]        seconds for which a receipt is kept, after the job's turn; what takes no tokens and may go on at once (an
--                answer from the cache) will not be settled, so its receipt is kept only while the charge may be repeated
-- ARGV[3]        m, the number of owners
-- ARGV[4…5m+3]   of each owner: the letter of its kind, and its four limits, '' where there is none
-- ARGV[…]        of each job: requests, tokens, and the seconds it would wait for its turn (0: not at all)
-- Returns        of each job: {'charged', seconds to wait}, {'known'} for an idempotency key that stands for an earlier job,
--                or {'over', seconds to wait, place of the owner from 1, place of the limit from 1}

local now, kept_for, owner_count = moment(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local owners, whom = {}, {}
for place = 1, owner_count do
  local first = 5 * place - 1
  owners[place] = load(KEYS[place], { unpack(ARGV, first + 1, first + MEASURES) }, now, false)
  whom[place] = ARGV[first]
  for i = 1, MEASURES do
    local limit = ARGV[first + i]
    whom[place] = whom[place] .. ' ' .. (limit == '' and '-' or limit)
  end
end
whom = table.concat(whom, ' ')

-- Gives the longest wait for a cost, and the places of the owner and the limit that cause it.
local function wait_for(cost)
  local longest, whose, which = 0, 0, 0
  for place, owner in ipairs(owners) do
    for i = 1, MEASURES do
      local limit, amount = owner.limit[i], cost[AMOUNT_OF[i]]
      if limit and amount > 0 then
        if limit == 0 then
          return math.huge, place, i
        end
        local missing = math.min(amount, limit) - owner.level[i]
        local wait = missing / limit * WINDOW_S[i]
        if missing > ROUNDING * math.max(1, amount) and wait > longest then
          longest, whose, which = wait, place, i
        end
      end
    end
  end
  return longest, whose, which
end

local function take(receipt, known, requests, tokens, patience)
  local earlier = redis.call('GET', receipt)
  if earlier then
    return { 'charged', string.match(earlier, '^%S+ %S+ (%S+)') }
  end
  if known ~= receipt and redis.call('EXISTS', known) == 1 then
    return { 'known' }
  end
  local cost = { tonumber(requests), tonumber(tokens) }
  local wait, whose, which = wait_for(cost)
  if wait > 0 and wait >= tonumber(patience) then
    return { 'over', text(wait == math.huge and WINDOW_S[which] or wait), whose, which }
  end
  for _, owner in ipairs(owners) do
    move(owner, { -cost[1], -cost[2] })
  end
  if owner_count > 0 then
    local kept = wait == 0 and cost[2] == 0 and REPEATED_WITHIN_S or kept_for
    redis.call('SET', receipt, requests .. ' ' .. tokens .. ' ' .. text(wait) .. ' ' .. whom,
      'PX', math.ceil((kept + wait) * 1000))
  end
  return { 'charged', text(wait) }, true
end

local answers, any_taken = {}, false
for job = 1, (#KEYS - owner_count) / 2 do
  local key, argument = owner_count + 2 * job, 3 + 5 * owner_count + 3 * (job - 1)
  local answer, taken = take(KEYS[key - 1], KEYS[key], unpack(ARGV, argument + 1, argument + 3))
  answers[job] = answer
  any_taken = any_taken or taken
end
if any_taken then
  for _, owner in ipairs(owners) do
    save(owner)
  end
end
return answers
