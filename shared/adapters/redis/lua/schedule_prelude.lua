-- Put in front of the scripts that act for the leading scheduler, behind prelude.lua's words.
--
-- A duty's runs are a hash: of each, by the time of its firing (milliseconds since the epoch), what JSON says of it.

-- Whether a lease runs under this name and this term.
local function leads(leader, name, term)
  local is_name, is_term, ends = unpack(redis.call('HMGET', leader, 'name', 'term', 'until'))
  return is_name == name and is_term == term and tonumber(ends) > tonumber(now_text())
end
