-- Acknowledges entries, or gives them back. What was taken away from its consumer meanwhile is left alone.
--
-- KEYS     none: the streams are among the arguments, as they differ from entry to entry
-- ARGV[1]  name of the consumer group
-- ARGV[2…] per entry: its stream, its id, the stream to give it back to (empty: acknowledge)
-- Gives    a string with one character per entry: 1 settled, 0 no longer the caller's
--
-- An entry given back is a new entry with a new id. So an id belongs to one delivery only, and a stale
-- owner's finds nothing.

local group = ARGV[1]
local settled = {}
for i = 2, #ARGV, 3 do
  local stream, id, back = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local fields = release(stream, group, id)
  if fields and back ~= '' then
    add_again(back, fields, id)
  end
  settled[#settled + 1] = fields and '1' or '0'
end
return table.concat(settled)
