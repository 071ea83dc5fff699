-- Delivers up to so many entries of each queue to a consumer, those that were returned first.
--
-- KEYS     none: the streams are among the arguments, each with its count
-- ARGV[1]  name of the consumer group
-- ARGV[2]  name of the consumer
-- ARGV[3…] per queue: how many, the stream of what was returned, the stream of what waits
-- Gives    in turns: a stream, its entries

local delivered = {}
for i = 3, #ARGV, 3 do
  local room = tonumber(ARGV[i])
  for _, stream in ipairs({ ARGV[i + 1], ARGV[i + 2] }) do
    local answer = room > 0
      and redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', room, 'STREAMS', stream, '>')
    if answer then
      room = room - #answer[1][2]
      delivered[#delivered + 1] = stream
      delivered[#delivered + 1] = answer[1][2]
    end
  end
end
return delivered
