-- Put in front of the scripts about allowances. shared/domain/token_bucket.py is their specification.
--
-- An owner (a team, a user, a feature, a key, or all together) has one key, and all owners of a team share a slot:
--   its buckets (hash)  at, and of each limit i that it has: limit<i>, level<i>
-- The limits, in this order: requests a minute, tokens a minute, requests a day, tokens a day.
-- A charged job has a receipt (string of words): requests, tokens, seconds to wait, and of each owner it was taken from the
-- letter of its kind and its four limits, '-' where there is none.
-- What is missing is full, so what is full is not kept for long.

local MEASURES = 4
local AMOUNT_OF, WINDOW_S = { 1, 2, 1, 2 }, { 60, 60, 86400, 86400 }
local ROUNDING = 1e-9
local LONGEST_DEBT_S = 366 * 86400
local SPARE_S, REPEATED_WITHIN_S = 3600, 60

local function moment(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function text(number)
  return string.format('%.17g', number)
end

-- Reads an owner's buckets and brings them to the moment `now`. `limits`: the four, '' or '-' where there is none.
-- `prefer_kept`: rather those that were in force when something was last taken.
local function load(key, limits, now, prefer_kept)
  local found = redis.call('HMGET', key, 'at', 'limit1', 'level1', 'limit2', 'level2', 'limit3', 'level3', 'limit4',
    'level4')
  local is_kept = found[1] and prefer_kept
  local at = tonumber(found[1]) or now
  local owner = { key = key, at = math.max(now, at), limit = {}, level = {} }
  for i = 1, MEASURES do
    local limit = tonumber(is_kept and found[2 * i] or not is_kept and limits[i] or nil)
    if limit then
      local level = tonumber(found[2 * i + 1]) or limit
      owner.limit[i] = limit
      owner.level[i] = math.min(limit, level + limit / WINDOW_S[i] * math.max(0, now - at))
    end
  end
  return owner
end

local function move(owner, amounts)
  for i = 1, MEASURES do
    if owner.limit[i] then
      owner.level[i] = math.min(owner.limit[i], owner.level[i] + amounts[AMOUNT_OF[i]])
    end
  end
end

local function save(owner)
  local fields, full_in = { 'at', text(owner.at) }, 0
  for i = 1, MEASURES do
    local limit = owner.limit[i]
    if limit then
      fields[#fields + 1] = 'limit' .. i
      fields[#fields + 1] = text(limit)
      fields[#fields + 1] = 'level' .. i
      fields[#fields + 1] = text(owner.level[i])
      if limit > 0 then
        full_in = math.max(full_in, (limit - owner.level[i]) / limit * WINDOW_S[i])
      end
    end
  end
  redis.call('DEL', owner.key)
  redis.call('HSET', owner.key, unpack(fields))
  redis.call('EXPIRE', owner.key, math.min(math.ceil(full_in), LONGEST_DEBT_S) + SPARE_S)
end
