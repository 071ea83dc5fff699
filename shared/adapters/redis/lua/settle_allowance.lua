-- Settles a job's charge on what it really took.
--
-- KEYS[1]   the job's receipt; without it the job is settled already, or was never charged
-- KEYS[2…]  the buckets of everyone it may have been charged to
-- ARGV[1]   the moment (seconds since the epoch), or '' for this server's own clock
-- ARGV[2]   requests; ARGV[3] tokens
-- ARGV[4…]  of each owner: the letter of its kind
-- Returns   1, or 0 if there was nothing to settle

local receipt = redis.call('GET', KEYS[1])
if not receipt then
  return 0
end
redis.call('DEL', KEYS[1])
local words = {}
for word in string.gmatch(receipt, '%S+') do
  words[#words + 1] = word
end
local unused = { tonumber(words[1]) - tonumber(ARGV[2]), tonumber(words[2]) - tonumber(ARGV[3]) }
local limits_of = {}
for at = 4, #words, MEASURES + 1 do
  limits_of[words[at]] = { unpack(words, at + 1, at + MEASURES) }
end
local now = moment(ARGV[1])
for place = 1, #KEYS - 1 do
  local limits = limits_of[ARGV[3 + place]]
  if limits then
    local owner = load(KEYS[place + 1], limits, now, true)
    move(owner, unused)
    save(owner)
  end
end
return 1
